process COMPARE_GROUPS {
    label 'process_single'

    input:
    env 'COUNTERWARP_CODE'
    path cohort
    path maps, stageAs: 'maps/*'         // a folder per task
    path aligned, stageAs: 'aligned/*'   // a folder per scan
    path truth, stageAs: 'truth'
    val options

    output:
    path 'group', emit: group

    script:
    """
    exec counterwarp compare-groups --cohort ${cohort} --maps maps --transforms aligned ${truth ? '--truth truth' : ''} ${options} --output group
    """

    stub:
    """
    mkdir group
    """
}
