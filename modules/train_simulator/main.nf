process TRAIN_SIMULATOR {
    tag "fold-${fold}"
    label 'process_gpu'

    input:
    val code
    tuple val(fold), path(classifier)
    path cohort
    val options

    output:
    tuple val(fold), path('simulator'), emit: simulator
    path 'simulator_fold-*.json', emit: record

    script:
    """
    counterwarp train-simulator --cohort ${cohort} --classifier ${classifier} --fold ${fold} ${options} --output simulator
    cp simulator/simulator.json simulator_fold-${fold}.json
    """

    stub:
    """
    mkdir simulator
    touch simulator_fold-${fold}.json
    """
}
