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
    tuple val(meta), path('*_desc-n4_T1w.nii.gz'), path('*_desc-brain_mask.nii.gz'), path('*_to-MNI152_*.mat'), emit: brain, optional: true
    path "${meta.id}", emit: folder
    path "${meta.id}_desc-*", emit: files    // the affine is published by the stage that applies it

    script:
    """
    counterwarp extract-brain '${t1w}' ${meta.id} --scan-id ${meta.id} ${mask ? "--mask '${mask}'" : ''} --skull-stripped ${skull_stripped} --templates ${templates} --on-bad-scan skip ${options}
    ln -s ${meta.id}/* .
    """

    stub:
    """
    mkdir ${meta.id}
    touch ${meta.id}/${meta.id}_desc-{n4_T1w.nii.gz,brain_mask.nii.gz,extraction.json} ${meta.id}/${meta.id}_from-T1w_to-MNI152_mode-image_xfm.mat
    ln -s ${meta.id}/* .
    """
}
