process MAP_JACOBIANS {
    tag "fold-${fold} chunk-${chunk}"
    label 'process_gpu'

    input:
    val code
    tuple val(fold), path(classifier), path(simulator), val(chunk)
    path cohort
    val device

    output:
    path 'sub-*', emit: maps
    path '{explanations,doses,jacobians}_*', emit: tables

    script:
    """
    exec counterwarp map-jacobians --cohort ${cohort} --classifier ${classifier} --simulator ${simulator} --fold ${fold} --chunk ${chunk} --device ${device} --output .
    """

    stub:
    """
    touch sub-${fold}_space-MNI152_desc-inject_logjacobian.nii.gz explanations_fold-${fold}_chunk-${chunk}.csv
    """
}
