process WRITE_REPORT {
    label 'process_single'

    input:
    env 'COUNTERWARP_CODE'
    path cohort
    path extracted, stageAs: 'scans/extracted/*'   // a folder per scan
    path aligned, stageAs: 'scans/aligned/*'
    path maps, stageAs: 'maps/*'                   // a folder per task
    path tables, stageAs: 'tables/?/*'   // folders of the same name among them
    path group

    output:
    path 'report/*', emit: report

    script:
    """
    exec counterwarp write-report ${cohort} scans maps tables ${group} --output report
    """

    stub:
    """
    mkdir report
    touch report/report.html report/evaluation.json
    """
}
