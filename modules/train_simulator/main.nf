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
    path 'simulator_fold-*.json', emit: record

    script:
    """
    counterwarp train-simulator --cohort ${cohort} --classifier ${classifier} --fold ${fold} ${options} --output fold-${fold}/simulator
    cp fold-${fold}/simulator/simulator.json simulator_fold-${fold}.json
    """

    stub:
    """
    mkdir -p fold-${fold}/simulator
    touch simulator_fold-${fold}.json
    """
}
