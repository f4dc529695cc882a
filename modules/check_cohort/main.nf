process CHECK_COHORT {
    label 'process_single'

    input:
    env 'COUNTERWARP_CODE'
    val source       // absolute path: scans in a samplesheet are relative to it
    path staged, stageAs: 'input/*'
    val options

    output:
    path 'check/cohort.csv', emit: cohort
    path 'check/*', emit: tables

    script:
    """
    exec counterwarp check-cohort --input '${source}' ${options} --output check
    """

    stub:
    """
    counterwarp check-cohort --input '${source}' ${options} --output check
    """
}
