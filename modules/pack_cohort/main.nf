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
    path '{index,exclusions}.csv', emit: tables  // copies: a file inside an output folder is not published by itself

    script:
    """
    counterwarp pack-cohort --cohort-table ${cohort_table} --aligned aligned --templates ${templates} ${options} --output cohort
    cp cohort/index.csv cohort/exclusions.csv .
    """

    stub:
    """
    mkdir cohort && touch index.csv exclusions.csv
    echo 'fold,chunk' > cohort/chunks.csv
    set -- ${options}
    for fold in \$(seq 0 \$((\$2 - 1))); do echo "\$fold,0" >> cohort/chunks.csv; done
    """
}
