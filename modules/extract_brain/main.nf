process EXTRACT_BRAIN {
    tag "${meta.id}"
    label 'process_single'
    label 'process_scan'

    input:
    env 'COUNTERWARP_CODE'
    tuple val(meta), path(t1w, stageAs: 'input/*'), path(mask, stageAs: 'input_mask/*')
    path templates
    val skull_stripped
    val options

    output:
    tuple val(meta), path('*_desc-n4_T1w.nii.gz'), path('*_desc-brain_mask.nii.gz'), emit: brain, optional: true
    path "${meta.id}", emit: folder
    path "${meta.id}_*", emit: files

    script:
    """
    counterwarp extract-brain '${t1w}' ${meta.id} --scan-id ${meta.id} ${mask ? "--mask '${mask}'" : ''} --skull-stripped ${skull_stripped} --templates ${templates} --on-bad-scan skip ${options}
    ln -s ${meta.id}/* .
    """

    stub:
    """
    mkdir ${meta.id}
    touch ${meta.id}/${meta.id}_desc-{n4_T1w.nii.gz,brain_mask.nii.gz,extraction.json}
    ln -s ${meta.id}/* .
    """
}
