process IMPORT_CLASSIFIER {
    tag "fold-${fold}"
    label 'process_gpu'

    input:
    env 'COUNTERWARP_CODE'
    tuple val(fold), path(classifier, stageAs: 'given/*')   // a program, or the folder of an earlier run's classifier
    path cohort
    val device

    output:
    tuple val(fold), path("fold-${fold}/classifier"), emit: classifier

    script:
    """
    exec counterwarp import-classifier --cohort ${cohort} --classifier '${classifier}' --fold ${fold} --device ${device} --output fold-${fold}/classifier
    """

    stub:
    """
    mkdir -p fold-${fold}/classifier
    """
}
