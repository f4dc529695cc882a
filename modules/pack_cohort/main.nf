process PACK_COHORT {
    label 'process_single'

    input:
    val code
    path cohort_table
    path aligned, stageAs: 'aligned/*'
    path templates
    val options

    output:
    path 'cohort', emit: cohort
    path 'cohort/chunks.csv', emit: chunks
    path 'cohort/{index,exclusions}.csv', emit: tables

    script:
    """
    exec counterwarp pack-cohort --cohort-table ${cohort_table} --aligned aligned --templates ${templates} ${options} --output cohort
    """

    stub:
    """
    mkdir cohort && touch cohort/index.csv cohort/exclusions.csv
    echo 'fold,chunk' > cohort/chunks.csv
    set -- ${options}
    for fold in \$(seq 0 \$((\$2 - 1))); do echo "\$fold,0" >> cohort/chunks.csv; done
    """
}
