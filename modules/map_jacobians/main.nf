include { folderOf; targetOption } from '../targets'

process MAP_JACOBIANS {
    tag "fold-${fold} chunk-${chunk}${target ? " ${target}" : ''}"
    label 'process_gpu'

    input:
    env 'COUNTERWARP_CODE'
    tuple val(fold), path(classifier), path(simulator), val(chunk), val(target)   // '' if there is one case group
    path cohort
    val options

    output:
    tuple val(target), path("jacobians_fold-${fold}_chunk-${chunk}"), emit: folder
    path "${folderOf(target)}{sub-,explanations_,doses_,jacobians_}*.*", emit: files

    script:
    """
    counterwarp map-jacobians --cohort ${cohort} --classifier ${classifier} --simulator ${simulator} --fold ${fold} --chunk ${chunk} ${targetOption(target)} ${options} --output jacobians_fold-${fold}_chunk-${chunk}
    mkdir -p ./${folderOf(target)}
    ln -sr jacobians_fold-${fold}_chunk-${chunk}/* ./${folderOf(target)}
    """

    stub:
    """
    name=fold-${fold}_chunk-${chunk}
    mkdir jacobians_\$name
    touch jacobians_\$name/{explanations_\$name.csv,doses_\$name.csv,jacobians_\$name.json}
    for scan in \$(awk -F, '\$2 == ${fold} && \$3 == ${chunk} { print \$1 }' ${cohort}/index.csv); do
        touch jacobians_\$name/\${scan}_space-MNI152_desc-{inject,remove}_{logjacobian,T1w,warp,velocity}.{nii.gz,json}
    done
    mkdir -p ./${folderOf(target)}
    ln -sr jacobians_\$name/* ./${folderOf(target)}
    """
}
