// Counterwarp: explain a brain MRI classifier by the warps that change its mind.
include { codeOfStages; recordRun } from './modules/provenance'
include { CHECK_COHORT      } from './modules/check_cohort/main'
include { PREPARE_TEMPLATES } from './modules/prepare_templates/main'
include { EXTRACT_BRAIN     } from './modules/extract_brain/main'
include { ALIGN_AFFINE      } from './modules/align_affine/main'
include { PACK_COHORT       } from './modules/pack_cohort/main'
include { TRAIN_CLASSIFIER  } from './modules/train_classifier/main'
include { IMPORT_CLASSIFIER } from './modules/import_classifier/main'
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
        if ('object' in known.type && !(value instanceof CharSequence && 'string' in known.type)) {
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
    settings instanceof CharSequence ? '' : settings.collect { name, value -> "--${name.replace('_', '-')} '${value}'" }.join(' ')
}

// An input that may be missing: the file, which must exist, or nothing.
def optionalFile(path) {
    path ? file(path, checkIfExists: true) : []
}

// What is trained already, in the place of the settings of its training: a file or folder, or nothing.
def trained(value) {
    value instanceof CharSequence ? file(value, checkIfExists: true) : null
}

// The networks of an earlier run: [[fold, classifier, simulator], ...].
def networksOf(models) {
    def folds = models.listFiles().findAll { folder -> folder.name ==~ /fold-\d+/ }.sort { folder -> folder.name }
    if (!folds || !folds.every { folder -> folder.resolve('classifier').exists() && folder.resolve('simulator').exists() }) {
        error("--simulator ${models}: expected the folder models/ of an earlier run, with fold-*/classifier and fold-*/simulator.")
    }
    return folds.collect { folder -> [(folder.name - 'fold-') as int, folder.resolve('classifier'), folder.resolve('simulator')] }
}

workflow {
    schema = new groovy.json.JsonSlurper().parse(file("${projectDir}/nextflow_schema.json").toFile()).properties
    if (params.help) {
        println(helpText(schema))
        return
    }
    checkParameters(params, schema)
    recordRun(params, workflow)
    code = codeOfStages(workflow.containerEngine, workflow.container)
    last = ['preprocess', 'classifier', 'simulator', 'jacobians', 'report'].indexOf(params.until)

    own_classifier = trained(params.classifier)
    models = trained(params.simulator)
    if (own_classifier && models) {
        error('--simulator with --classifier: the simulators of an earlier run come with their classifiers. Give one of the two.')
    }
    if (own_classifier && params.containsKey('case') && "${params['case']}".contains(',')) {
        error('--classifier FILE with several case groups: a classifier of your own knows one. Name one with --case.')
    }
    networks_before = models ? networksOf(models) : []
    fold_count = models ? networks_before.size() : params.folds as int

    // not in nextflow.config, where 'case' is a reserved word
    groups = ['case', 'control'].findAll { name -> params.containsKey(name) }.collect { name -> "--${name} '${params[name]}'" }.join(' ')
    wanted = ['participant_label', 'session_label', 'exclude'].findAll { name -> params[name] }.collect { name -> "--${name.replace('_', '-')} '${params[name]}'" }.join(' ')
    matching = params.match ? "--match '${params.match}' --match-caliper ${params.match_caliper}" : ''
    source = file(params.input, checkIfExists: true)
    CHECK_COHORT(
        code.check_cohort, source.toAbsolutePath().toString(), source,
        "--group-column ${params.group_column} ${groups} ${wanted} " +
        "--on-bad-scan ${params.on_bad_scan} --folds ${fold_count} ${matching}"
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
        code.pack_cohort, CHECK_COHORT.out.cohort, extracted, aligned, templates, optionalFile(params.qc_decisions), models ?: [],
        "--folds ${fold_count} --chunk-size ${params.chunk_size} --seed ${params.seed} ${matching}"
    )
    cohort = PACK_COHORT.out.cohort

    if (last >= 1) {
        folds = channel.of(0..<fold_count)
        before = channel.fromList(networks_before)                                            // [fold, classifier, simulator]
        run = "--seed ${params.seed} --device ${params.device} --devices ${params.devices}"
        if (own_classifier || models) {
            given = models ? before.map { fold, classifier, _simulator -> [fold, classifier] } : folds.map { fold -> [fold, own_classifier] }
            IMPORT_CLASSIFIER(code.import_classifier, given, cohort, params.maps_device)
            classifiers = IMPORT_CLASSIFIER.out.classifier                                    // [fold, classifier]
        }
        else {
            TRAIN_CLASSIFIER(code.train_classifier, folds, cohort, "${run} ${options(params.classifier)}")
            classifiers = TRAIN_CLASSIFIER.out.classifier
        }
    }
    if (last >= 2) {
        if (models) {
            simulators = before.map { fold, _classifier, simulator -> [fold, simulator] }     // [fold, simulator]
        }
        else {
            TRAIN_SIMULATOR(code.train_simulator, classifiers, cohort, "${run} ${options(params.simulator)}")
            simulators = TRAIN_SIMULATOR.out.simulator
        }
        networks = classifiers.join(simulators)                                               // [fold, classifier, simulator]
    }
    if (last >= 3) {
        chunks = PACK_COHORT.out.chunks.splitCsv(header: true)
            .map { row -> [row.fold as int, row.chunk as int, row.target ?: ''] }             // [fold, chunk, target]
        MAP_JACOBIANS(code.map_jacobians, networks.combine(chunks, by: 0), cohort, "--device ${params.maps_device} ${options(params.jacobians)}")
    }
    if (last >= 4) {
        targets = chunks.map { _fold, _chunk, target -> target }.unique()                     // '' if there is one case group
        MAP_SALIENCY(code.map_saliency, classifiers.combine(targets), cohort, params.maps_device, options(params.saliency))
        maps = MAP_JACOBIANS.out.folder.mix(MAP_SALIENCY.out.folder).groupTuple()             // [target, folders]
        COMPARE_GROUPS(code.compare_groups, cohort, maps, aligned, optionalFile(params.truth), "--seed ${params.seed} ${options(params.comparison)}")
        networks_of_folds = classifiers.mix(simulators).map { _fold, folder -> folder }
        tables = CHECK_COHORT.out.tables.mix(networks_of_folds).collect()
        WRITE_REPORT(code.write_report, cohort, extracted, aligned, maps.join(COMPARE_GROUPS.out.group), tables)
    }

    def run_status = workflow
    def folder = groups.contains(',') ? '/target-*' : ''
    def message = "Finished: ${params.outdir}${last >= 4 ? "${folder}/report.html" : ''}"
    workflow.onComplete {
        if (run_status.success) {
            println(message)
        }
    }
}
