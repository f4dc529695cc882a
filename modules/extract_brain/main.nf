process EXTRACT_BRAIN {
    tag "${meta.id}"
    label 'process_single'
    label 'process_scan'

    input:
    val code
    tuple val(meta), path(t1w, stageAs: 'input/*'), path(mask, stageAs: 'input_mask/*')
    path templates
    val skull_stripped
    val options

    output:
    tuple val(meta), path('*_desc-n4_T1w.nii.gz'), path('*_desc-brain_mask.nii.gz'), emit: brain, optional: true
    path '*_desc-extraction.json', emit: record

    script:
    """
    exec counterwarp extract-brain --scan-id ${meta.id} --t1w '${t1w}' ${mask ? "--mask '${mask}'" : ''} --skull-stripped ${skull_stripped} --templates ${templates} --output . ${options}
    """

    stub:
    """
    touch ${meta.id}_desc-n4_T1w.nii.gz ${meta.id}_desc-brain_mask.nii.gz ${meta.id}_desc-extraction.json
    """
}
