process MAP_SALIENCY {
    tag "fold-${fold}"
    label 'process_gpu'

    input:
    env 'COUNTERWARP_CODE'
    tuple val(fold), path(classifier)
    path cohort
    val device
    val options

    output:
    path "saliency_fold-${fold}", emit: folder
    path '{sub-,saliency_}*.*', emit: files

    script:
    """
    counterwarp map-saliency --cohort ${cohort} --classifier ${classifier} --fold ${fold} --device ${device} --output saliency_fold-${fold} ${options}
    ln -s saliency_fold-${fold}/* .
    """

    stub:
    """
    mkdir saliency_fold-${fold}
    touch saliency_fold-${fold}/saliency_fold-${fold}.json
    for scan in \$(awk -F, '\$2 == ${fold} { print \$1 }' ${cohort}/index.csv); do
        touch saliency_fold-${fold}/\${scan}_space-MNI152_desc-{gradient,smoothgrad,integratedGradients,guidedGradcam}_saliency.{nii.gz,json}
    done
    ln -s saliency_fold-${fold}/* .
    """
}
