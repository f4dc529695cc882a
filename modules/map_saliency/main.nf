include { folderOf; targetOption } from '../targets'

process MAP_SALIENCY {
    tag "fold-${fold}${target ? " ${target}" : ''}"
    label 'process_gpu'

    input:
    env 'COUNTERWARP_CODE'
    tuple val(fold), path(classifier), val(target)   // '' if there is one case group
    path cohort
    val device
    val options

    output:
    tuple val(target), path("saliency_fold-${fold}"), emit: folder
    path "${folderOf(target)}{sub-,saliency_}*.*", emit: files

    script:
    """
    counterwarp map-saliency --cohort ${cohort} --classifier ${classifier} --fold ${fold} --device ${device} ${targetOption(target)} --output saliency_fold-${fold} ${options}
    mkdir -p ./${folderOf(target)}
    ln -sr saliency_fold-${fold}/* ./${folderOf(target)}
    """

    stub:
    """
    mkdir saliency_fold-${fold}
    touch saliency_fold-${fold}/saliency_fold-${fold}.json
    for scan in \$(awk -F, '\$2 == ${fold} { print \$1 }' ${cohort}/index.csv); do
        touch saliency_fold-${fold}/\${scan}_space-MNI152_desc-{gradient,smoothgrad,integratedGradients,guidedGradcam}_saliency.{nii.gz,json}
    done
    mkdir -p ./${folderOf(target)}
    ln -sr saliency_fold-${fold}/* ./${folderOf(target)}
    """
}
