process TRAIN_CLASSIFIER {
    tag "fold-${fold}"
    label 'process_gpu'

    input:
    val code
    val fold
    path cohort
    val options

    output:
    tuple val(fold), path('classifier'), emit: classifier
    path 'fold-*/*', emit: tables

    script:
    """
    counterwarp train-classifier --cohort ${cohort} --fold ${fold} ${options} --output classifier
    mkdir fold-${fold}
    cp classifier/predictions.csv fold-${fold}/predictions_fold-${fold}.csv
    cp classifier/classifier.json fold-${fold}/classifier_fold-${fold}.json
    """

    stub:
    """
    mkdir classifier fold-${fold}
    touch fold-${fold}/predictions_fold-${fold}.csv
    """
}
