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

    script:
    """
    exec ${task.ext.launcher} counterwarp train-classifier --cohort ${cohort} --fold ${fold} ${options} --checkpoints '${task.ext.checkpoints}' --output fold-${fold}/classifier
    """

    stub:
    """
    mkdir -p fold-${fold}/classifier
    """
}
