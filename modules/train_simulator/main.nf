process TRAIN_SIMULATOR {
    tag "fold-${fold}"
    label 'process_gpu'

    input:
    env 'COUNTERWARP_CODE'
    tuple val(fold), path(classifier)
    path cohort
    val options

    output:
    tuple val(fold), path("fold-${fold}/simulator"), emit: simulator

    script:
    """
    exec ${task.ext.launcher} counterwarp train-simulator --cohort ${cohort} --classifier ${classifier} --fold ${fold} ${options} --checkpoints '${task.ext.checkpoints}' --output fold-${fold}/simulator
    """

    stub:
    """
    mkdir -p fold-${fold}/simulator
    """
}
