process MAP_SALIENCY {
    tag "fold-${fold}"
    label 'process_gpu'

    input:
    val code
    tuple val(fold), path(classifier)
    path cohort
    val device
    val options

    output:
    path 'sub-*', emit: maps
    path 'saliency_*.json', emit: record

    script:
    """
    exec counterwarp map-saliency --cohort ${cohort} --classifier ${classifier} --fold ${fold} --device ${device} --output . ${options}
    """

    stub:
    """
    touch sub-${fold}_space-MNI152_desc-gradient_saliency.nii.gz saliency_fold-${fold}.json
    """
}
