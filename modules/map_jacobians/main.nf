process MAP_JACOBIANS {
    tag "fold-${fold} chunk-${chunk}"
    label 'process_gpu'

    input:
    env 'COUNTERWARP_CODE'
    tuple val(fold), path(classifier), path(simulator), val(chunk)
    path cohort
    val options

    output:
    path "jacobians_fold-${fold}_chunk-${chunk}", emit: folder
    path '{sub-,explanations_,doses_,jacobians_}*.*', emit: files

    script:
    """
    counterwarp map-jacobians --cohort ${cohort} --classifier ${classifier} --simulator ${simulator} --fold ${fold} --chunk ${chunk} ${options} --output jacobians_fold-${fold}_chunk-${chunk}
    ln -s jacobians_fold-${fold}_chunk-${chunk}/* .
    """

    stub:
    """
    name=fold-${fold}_chunk-${chunk}
    mkdir jacobians_\$name
    touch jacobians_\$name/{explanations_\$name.csv,doses_\$name.csv,jacobians_\$name.json}
    for scan in \$(awk -F, '\$2 == ${fold} && \$3 == ${chunk} { print \$1 }' ${cohort}/index.csv); do
        touch jacobians_\$name/\${scan}_space-MNI152_desc-{inject,remove}_{logjacobian,T1w,warp,velocity}.{nii.gz,json}
    done
    ln -s jacobians_\$name/* .
    """
}
