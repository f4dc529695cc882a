process PREPARE_TEMPLATES {
    label 'process_single'

    input:
    env 'COUNTERWARP_CODE'
    val resolution   // mm

    output:
    path 'templates', emit: templates

    script:
    """
    exec counterwarp prepare-templates --resolution ${resolution} --output templates
    """

    stub:
    """
    mkdir templates
    """
}
