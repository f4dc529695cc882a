process PREPARE_TEMPLATES {
    label 'process_single'

    input:
    env 'COUNTERWARP_CODE'
    path head_template, stageAs: 'head_template/*'     // each [] or a file
    path head_mask, stageAs: 'head_mask/*'
    path brain_template, stageAs: 'brain_template/*'
    val options

    output:
    path 'templates', emit: templates

    script:
    """
    exec counterwarp prepare-templates ${options} ${head_template ? "--head-template '${head_template}'" : ''} ${head_mask ? "--head-mask '${head_mask}'" : ''} ${brain_template ? "--brain-template '${brain_template}'" : ''} --output templates
    """

    stub:
    """
    mkdir templates
    """
}
