process PACK_COHORT {
    label 'process_single'

    input:
    env 'COUNTERWARP_CODE'
    path cohort_table
    path extracted, stageAs: 'scans/extracted/*'   // a folder per scan
    path aligned, stageAs: 'scans/aligned/*'
    path templates
    path decisions, stageAs: 'decisions/*'   // [] or a table
    path models, stageAs: 'models'           // [] or networks of an earlier run
    val options

    output:
    path 'cohort', emit: cohort
    path 'cohort/chunks.csv', emit: chunks
    path '{index,exclusions,quality,cohort}.{csv,html,json}', emit: tables  // copies: a file inside an output folder is not published by itself

    script:
    """
    counterwarp pack-cohort --cohort-table ${cohort_table} --aligned scans --templates ${templates} ${options} ${decisions ? "--qc-decisions '${decisions}'" : ''} ${models ? '--models models' : ''} --output cohort
    cp cohort/{index,exclusions,quality}.csv cohort/quality.html cohort/cohort.json .
    """

    stub:
    """
    mkdir cohort && touch exclusions.csv quality.csv quality.html cohort.json
    set -- ${options}   # --folds F --chunk-size C
    awk -F, -v OFS=, -v folds=\$2 -v size=\$4 '
        NR == 1 { print \$1, "fold", "chunk" }
        NR > 1  { position = NR - 2; print \$1, position % folds, int(position / folds / size) }' ${cohort_table} > index.csv
    targets=\$(awk -F, 'NR > 1 && \$7 > 0 && !seen[\$6]++ { print \$6 }' ${cohort_table})   # group and is_case
    cut -d, -f2,3 index.csv | awk -v targets="\$targets" '
        BEGIN { count = split(targets, target, "\\n") }
        seen[\$0]++ { next }
        count < 2 { print; next }
        NR == 1 { print \$0 ",target"; next }
        { for (i = 1; i <= count; i++) print \$0 "," target[i] }' > cohort/chunks.csv
    cp index.csv cohort
    """
}
