process ALIGN_AFFINE {
    tag "${meta.id}"
    label 'process_single'
    label 'process_scan'

    input:
    val code
    tuple val(meta), path(t1w), path(mask)
    path templates
    val options

    output:
    path '*_{desc-qc,desc-qc_mosaic,space-MNI152_desc-*,mode-image_xfm}.{json,png,nii.gz,mat}', emit: aligned

    script:
    """
    exec counterwarp align-affine --scan-id ${meta.id} --t1w ${t1w} --mask ${mask} --templates ${templates} --output . ${options}
    """

    stub:
    """
    touch ${meta.id}_space-MNI152_desc-preproc_T1w.nii.gz ${meta.id}_space-MNI152_desc-brain_mask.nii.gz
    touch ${meta.id}_from-T1w_to-MNI152_mode-image_xfm.mat ${meta.id}_desc-qc_mosaic.png ${meta.id}_desc-qc.json
    """
}
