include { folderOf; targetOption } from '../targets'

process WRITE_REPORT {
    label 'process_single'

    input:
    env 'COUNTERWARP_CODE'
    path cohort
    path extracted, stageAs: 'scans/extracted/*'   // a folder per scan
    path aligned, stageAs: 'scans/aligned/*'
    tuple val(target), path(maps, stageAs: 'maps/*'), path(group)   // '' if there is one case group; a folder per task
    path tables, stageAs: 'tables/?/*'   // folders of the same name among them

    output:
    path "${folderOf(target)}report/*", emit: report

    script:
    """
    exec counterwarp write-report ${cohort} scans maps tables ${group} ${targetOption(target)} --output ${folderOf(target)}report
    """

    stub:
    """
    mkdir -p ${folderOf(target)}report
    touch ${folderOf(target)}report/{report.html,evaluation.json}
    """
}
