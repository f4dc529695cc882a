// Counterwarp: explain a brain MRI classifier by the warps that change its mind.
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

// Stop at once on a name or a value that the pipeline does not know; the schema is the list of names.
def checkParameters(given) {
    def known = new groovy.json.JsonSlurper().parse(file("${projectDir}/nextflow_schema.json").toFile()).properties
    given.each { name, value ->
        if (!known.containsKey(name)) {
            def near = known.keySet().toList().closest(name)
            error("unknown parameter --${name}.${near ? " Did you mean --${near[0]}?" : ''} See --help.")
        }
        if (known[name].type == 'object') {
            (value ?: [:]).each { option, _v ->
                if (!known[name].properties.containsKey(option)) {
                    def near = known[name].properties.keySet().toList().closest(option)
                    error("unknown parameter --${name}.${option}.${near ? " Did you mean --${name}.${near[0]}?" : ''}")
                }
            }
        }
        if (known[name]['enum'] && !known[name]['enum'].contains(value)) {
            error("--${name} ${value}: expected one of ${known[name]['enum'].join(', ')}.")
        }
    }
    ['input', 'outdir'].each { name -> if (!given[name]) { error("--${name} is missing: ${known[name].description}") } }
}

// A group of settings as options of its command: [epochs: 3] -> "--epochs 3".
def options(settings) {
    settings.collect { name, value -> "--${name.replace('_', '-')} ${value}" }.join(' ')
}

workflow {
    checkParameters(params)
    // Inside a container the image tag stands for the code; outside, the package's hash does.
    code = workflow.containerEngine ? 'container' : ['counterwarp', 'code-hash'].execute().text.trim()
    last = ['preprocess', 'classifier', 'simulator', 'jacobians', 'report'].indexOf(params.until)

    // not in nextflow.config, where 'case' is a reserved word
    groups = ['case', 'control'].findAll { name -> params.containsKey(name) }.collect { name -> "--${name} '${params[name]}'" }.join(' ')
    source = file(params.input, checkIfExists: true)
    CHECK_COHORT(
        code, source.toAbsolutePath().toString(), source,
        "--group-column ${params.group_column} ${groups} " +
        "--on-bad-scan ${params.on_bad_scan} --folds ${params.folds}"
    )
    PREPARE_TEMPLATES(code, params.resolution)
    templates = PREPARE_TEMPLATES.out.templates
    scans = CHECK_COHORT.out.cohort.splitCsv(header: true)
        .map { row -> [[id: row.scan_id], file(row.t1w), row.mask ? file(row.mask) : []] }   // [meta, t1w, mask]
    EXTRACT_BRAIN(code, scans, templates, params.skull_stripped, options(params.extraction))
    ALIGN_AFFINE(code, EXTRACT_BRAIN.out.brain, templates, options(params.alignment))
    aligned = EXTRACT_BRAIN.out.record.mix(ALIGN_AFFINE.out.aligned).collect()
    PACK_COHORT(code, CHECK_COHORT.out.cohort, aligned, templates, "--folds ${params.folds} --chunk-size ${params.chunk_size} --seed ${params.seed}")
    cohort = PACK_COHORT.out.cohort

    if (last >= 1) {
        folds = channel.of(0..<(params.folds as int))
        run = "--seed ${params.seed} --device ${params.device}"
        TRAIN_CLASSIFIER(code, folds, cohort, "${run} ${options(params.classifier)}")
        classifiers = TRAIN_CLASSIFIER.out.classifier                                         // [fold, classifier]
    }
    if (last >= 2) {
        TRAIN_SIMULATOR(code, classifiers, cohort, "${run} ${options(params.simulator)}")
        networks = classifiers.join(TRAIN_SIMULATOR.out.simulator)                            // [fold, classifier, simulator]
    }
    if (last >= 3) {
        chunks = PACK_COHORT.out.chunks.splitCsv(header: true).map { row -> [row.fold as int, row.chunk as int] }
        MAP_JACOBIANS(code, networks.combine(chunks, by: 0), cohort, params.device)
    }
    if (last >= 4) {
        MAP_SALIENCY(code, classifiers, cohort, params.device, options(params.saliency))
        maps = MAP_JACOBIANS.out.maps.mix(MAP_SALIENCY.out.maps).collect()
        truth = params.truth ? file(params.truth, checkIfExists: true) : []
        COMPARE_GROUPS(code, cohort, maps, aligned, truth)
        tables = CHECK_COHORT.out.tables.mix(
            TRAIN_CLASSIFIER.out.tables, TRAIN_SIMULATOR.out.record, MAP_JACOBIANS.out.tables, MAP_SALIENCY.out.record,
        ).collect()
        WRITE_REPORT(code, cohort, aligned, maps, tables, COMPARE_GROUPS.out.group, templates)
    }

    workflow.onComplete {
        if (workflow.success) {
            log.info("Finished: ${params.outdir}${last >= 4 ? '/report.html' : ''}")
        }
    }
}
