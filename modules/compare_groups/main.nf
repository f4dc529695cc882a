include { folderOf; targetOption } from '../targets'

process COMPARE_GROUPS {
    label 'process_single'

    input:
    env 'COUNTERWARP_CODE'
    path cohort
    tuple val(target), path(maps, stageAs: 'maps/*')   // '' if there is one case group; a folder per task
    path aligned, stageAs: 'aligned/*'   // a folder per scan
    path truth, stageAs: 'truth'
    val options

    output:
    tuple val(target), path("${folderOf(target)}group"), emit: group

    script:
    """
    exec counterwarp compare-groups --cohort ${cohort} --maps maps --transforms aligned ${truth ? '--truth truth' : ''} ${targetOption(target)} ${options} --output ${folderOf(target)}group
    """

    stub:
    """
    mkdir -p ${folderOf(target)}group
    """
}
