process WRITE_REPORT {
    label 'process_single'

    input:
    val code
    path cohort
    path aligned, stageAs: 'aligned/*'
    path maps, stageAs: 'maps/*'
    path tables, stageAs: 'tables/*'
    path group
    path templates

    output:
    path 'report/*', emit: report

    script:
    """
    exec counterwarp write-report --results ${cohort} --results aligned --results maps --results tables --results ${group} --templates ${templates} --output report
    """

    stub:
    """
    mkdir report
    touch report/report.html report/evaluation.json
    """
}
