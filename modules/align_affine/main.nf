process ALIGN_AFFINE {
    tag "${meta.id}"
    label 'process_single'
    label 'process_scan'

    input:
    env 'COUNTERWARP_CODE'
    tuple val(meta), path(t1w), path(mask), path(affine, stageAs: 'input/*')
    path templates
    val options

    output:
    path "${meta.id}", emit: folder
    path "${meta.id}_*", emit: files

    script:
    """
    counterwarp align-affine --scan-id ${meta.id} --t1w ${t1w} --mask ${mask} --affine '${affine}' --templates ${templates} --output ${meta.id} ${options}
    ln -s ${meta.id}/* .
    """

    stub:
    """
    mkdir ${meta.id}
    touch ${meta.id}/${meta.id}_space-MNI152_desc-{preproc_T1w.nii.gz,preproc_T1w.json,brain_mask.nii.gz}
    touch ${meta.id}/${meta.id}_{from-T1w_to-MNI152_mode-image_xfm.mat,desc-qc_mosaic.png,desc-qc_flicker.png,desc-qc.json}
    ln -s ${meta.id}/* .
    """
}
