process COMPARE_GROUPS {
    label 'process_single'

    input:
    val code
    path cohort
    path maps, stageAs: 'maps/*'
    path aligned, stageAs: 'aligned/*'
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
