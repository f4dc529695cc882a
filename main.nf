// Counterwarp: explain a brain MRI classifier by the warps that change its mind.
include { codeOfStages; recordRun } from './modules/provenance'
include { CHECK_COHORT      } from './modules/check_cohort/main'
include { PREPARE_TEMPLATES } from './modules/prepare_templates/main'
include { EXTRACT_BRAIN     } from './modules/extract_brain/main'
include { ALIGN_AFFINE      } from './modules/align_affine/main'
include { PACK_COHORT       } from './modules/pack_cohort/main'
include { TRAIN_CLASSIFIER  } from './modules/train_classifier/main'
include { TRAIN_SIMULATOR   } from './modules/train_simulator/main'
include { MAP_JACOBIANS     } from './modules/map_jacobians/main'
include { MAP_SALIENCY      } from './modules/map_saliency/main'
include { COMPARE_GROUPS    } from './modules/compare_groups/main'
include { WRITE_REPORT      } from './modules/write_report/main'

// Every parameter with its meaning, from the schema.
def helpText(schema) {
    def lines = ['Usage: nextflow run main.nf --input cohort.csv --outdir results [-profile slurm,gpu,apptainer] [-resume]', '']
    schema.each { name, entry ->
        def choices = entry['enum'] ? " [${entry['enum'].join(', ')}]" : ''
        lines << "  --${name.padRight(22)} ${entry.description}${choices}"
        entry.properties?.each { option, detail ->
            lines << "  --${"${name}.${option}".padRight(38)} ${detail.description} [${detail['default']}]"
        }
    }
    return lines.join('\n')
}

// The known name that is nearest to a wrong one.
def suggestion(prefix, names, wrong) {
    def near = names.toList().closest(wrong)
    return near ? "Did you mean --${prefix}${near[0]}?" : 'See --help.'
}

// Stop at once on a name or a value that the pipeline does not know; the schema is the list of names.
def checkParameters(given, schema) {
    given.each { name, value ->
        def known = schema[name]
        if (!known) {
            error("unknown parameter --${name}. ${suggestion('', schema.keySet(), name)}")
        }
        if (known.type != 'boolean' && value instanceof Boolean) {
            error("--${name} has no value: ${known.description} See --help.")
        }
        if (known.type == 'object') {
            (value ?: [:]).each { option, _v ->
                if (!known.properties.containsKey(option)) {
                    error("unknown parameter --${name}.${option}. ${suggestion("${name}.", known.properties.keySet(), option)}")
                }
            }
        }
        if (known['enum'] && !known['enum'].contains(value)) {
            error("--${name} ${value}: expected one of ${known['enum'].join(', ')}.")
        }
    }
    ['input', 'outdir'].each { name ->
        if (!given[name]) {
            error("--${name} is missing: ${schema[name].description} See --help.")
        }
    }
}

// A group of settings as options of its command: [epochs: 3] -> "--epochs 3".
def options(settings) {
    settings.collect { name, value -> "--${name.replace('_', '-')} '${value}'" }.join(' ')
}

// An input that may be missing: the file, which must exist, or nothing.
def optionalFile(path) {
    path ? file(path, checkIfExists: true) : []
}

workflow {
    schema = new groovy.json.JsonSlurper().parse(file("${projectDir}/nextflow_schema.json").toFile()).properties
    if (params.help) {
        println(helpText(schema))
        return
    }
    checkParameters(params, schema)
    recordRun(params, workflow)
    code = codeOfStages(workflow.containerEngine, params.container)
    last = ['preprocess', 'classifier', 'simulator', 'jacobians', 'report'].indexOf(params.until)

    // not in nextflow.config, where 'case' is a reserved word
    groups = ['case', 'control'].findAll { name -> params.containsKey(name) }.collect { name -> "--${name} '${params[name]}'" }.join(' ')
    wanted = ['participant_label', 'session_label', 'exclude'].findAll { name -> params[name] }.collect { name -> "--${name.replace('_', '-')} '${params[name]}'" }.join(' ')
    source = file(params.input, checkIfExists: true)
    CHECK_COHORT(
        code.check_cohort, source.toAbsolutePath().toString(), source,
        "--group-column ${params.group_column} ${groups} ${wanted} " +
        "--on-bad-scan ${params.on_bad_scan} --folds ${params.folds}"
    )
    PREPARE_TEMPLATES(
        code.prepare_templates, optionalFile(params.head_template), optionalFile(params.head_mask),
        optionalFile(params.brain_template),
        "--resolution ${params.resolution}" + (params.shape ? " --shape ${params.shape}" : '')
    )
    templates = PREPARE_TEMPLATES.out.templates
    scans = CHECK_COHORT.out.cohort.splitCsv(header: true)
        .map { row -> [[id: row.scan_id], file(row.t1w), row.mask ? file(row.mask) : []] }   // [meta, t1w, mask]
    EXTRACT_BRAIN(code.extract_brain, scans, templates, params.skull_stripped, options(params.extraction))
    ALIGN_AFFINE(code.align_affine, EXTRACT_BRAIN.out.brain, templates, options(params.alignment))
    extracted = EXTRACT_BRAIN.out.folder.collect()
    aligned = ALIGN_AFFINE.out.folder.collect().ifEmpty([])
    PACK_COHORT(
        code.pack_cohort, CHECK_COHORT.out.cohort, extracted, aligned, templates, optionalFile(params.qc_decisions),
        "--folds ${params.folds} --chunk-size ${params.chunk_size} --seed ${params.seed}"
    )
    cohort = PACK_COHORT.out.cohort

    if (last >= 1) {
        folds = channel.of(0..<(params.folds as int))
        run = "--seed ${params.seed} --device ${params.device} --devices ${params.devices}"
        TRAIN_CLASSIFIER(code.train_classifier, folds, cohort, "${run} ${options(params.classifier)}")
        classifiers = TRAIN_CLASSIFIER.out.classifier                                         // [fold, classifier]
    }
    if (last >= 2) {
        TRAIN_SIMULATOR(code.train_simulator, classifiers, cohort, "${run} ${options(params.simulator)}")
        networks = classifiers.join(TRAIN_SIMULATOR.out.simulator)                            // [fold, classifier, simulator]
    }
    if (last >= 3) {
        chunks = PACK_COHORT.out.chunks.splitCsv(header: true).map { row -> [row.fold as int, row.chunk as int] }
        MAP_JACOBIANS(code.map_jacobians, networks.combine(chunks, by: 0), cohort, "--device ${params.device} ${options(params.jacobians)}")
    }
    if (last >= 4) {
        MAP_SALIENCY(code.map_saliency, classifiers, cohort, params.device, options(params.saliency))
        maps = MAP_JACOBIANS.out.folder.mix(MAP_SALIENCY.out.folder).collect()
        COMPARE_GROUPS(code.compare_groups, cohort, maps, aligned, optionalFile(params.truth), "--seed ${params.seed} ${options(params.comparison)}")
        networks_of_folds = TRAIN_CLASSIFIER.out.classifier.mix(TRAIN_SIMULATOR.out.simulator).map { _fold, folder -> folder }
        tables = CHECK_COHORT.out.tables.mix(networks_of_folds).collect()
        WRITE_REPORT(code.write_report, cohort, extracted, aligned, maps, tables, COMPARE_GROUPS.out.group)
    }

    def run_status = workflow
    def message = "Finished: ${params.outdir}${last >= 4 ? '/report.html' : ''}"
    workflow.onComplete {
        if (run_status.success) {
            println(message)
        }
    }
}
