process TRAIN_CLASSIFIER {
    tag "fold-${fold}"
    label 'process_gpu'

    input:
    env 'COUNTERWARP_CODE'
    val fold
    path cohort
    val options

    output:
    tuple val(fold), path("fold-${fold}/classifier"), emit: classifier
    path '{predictions,classifier}_fold-*', emit: tables

    script:
    """
    counterwarp train-classifier --cohort ${cohort} --fold ${fold} ${options} --output fold-${fold}/classifier
    cp fold-${fold}/classifier/predictions.csv predictions_fold-${fold}.csv
    cp fold-${fold}/classifier/classifier.json classifier_fold-${fold}.json
    """

    stub:
    """
    mkdir -p fold-${fold}/classifier
    touch predictions_fold-${fold}.csv
    """
}
