// What makes the results: parameters, versions, code or container image.

def asJson(content) {
    return groovy.json.JsonOutput.prettyPrint(groovy.json.JsonOutput.toJson(content)) + '\n'
}

def sha256(path) {
    def digest = java.security.MessageDigest.getInstance('SHA-256')
    path.eachByte(1 << 20) { bytes, count -> digest.update(bytes, 0, count) }
    return "sha256:${digest.digest().encodeHex()}"
}

// The content of an image: the digest that its name holds, the engine's id of it, or the hash of its file.
// Empty if the image is not on this machine yet; give its name with @sha256:... then.
def imageDigest(engine, image) {
    def local = file(image)
    if (image.contains('@sha256:')) {
        return image.tokenize('@').last()
    }
    if (local.isFile()) {
        return sha256(local)
    }
    if (local.isDirectory()) {      // Charliecloud
        return local.resolve('ch/digest').exists() ? local.resolve('ch/digest').text.trim() : ''
    }
    if (engine in ['docker', 'podman']) {
        def id = [engine, 'image', 'inspect', '--format', '{{.Id}}', image].execute().text.trim()
        return id ? "sha256:${id - 'sha256:'}" : ''
    }
    return ''
}

// The clone's commit, with -dirty after it if files were changed; null outside of a clone. Nextflow knows it only of
// pipelines that it fetched itself.
def revisionOf(run) {
    try {
        def git = ['git', '-C', run.projectDir.toString(), 'describe', '--always', '--abbrev=40', '--dirty', '--exclude=*']
        return run.commitId ?: git.execute().text.trim() ?: null
    }
    catch (IOException _missing) {
        return null
    }
}

// Before anything is made: parameters (for -params-file), versions and image.
def recordRun(given, run) {
    def folder = file("${given.outdir}/pipeline_info")
    def sheet = file(given.input)
    folder.mkdirs()
    folder.resolve('params.json').text = asJson(given)
    folder.resolve('run.json').text = asJson([
        version: run.manifest.version, revision: revisionOf(run), nextflow: run.nextflow.version.toString(),
        requirements: sha256(run.projectDir.resolve('requirements.lock')), input: sheet.isFile() ? sha256(sheet) : null,
        profile: run.profile, command: run.commandLine, session: run.sessionId.toString(),
        container_engine: run.containerEngine,
        container: run.containerEngine ? run.container : null,
        container_digest: run.containerEngine ? imageDigest(run.containerEngine, run.container) : null,
    ])
}

// Stage -> hash of the code behind it: an input of its tasks, so that -resume repeats what a change of code touches;
// it is in the records too. In a container the image stands for the code.
def codeOfStages(engine, image) {
    if (engine) {
        def identity = [image, imageDigest(engine, image)].findAll().join(' ')
        return [:].withDefault { _stage -> identity }
    }
    try {
        return new groovy.json.JsonSlurper().parseText(['counterwarp', 'code-hash'].execute().text)
    }
    catch (IOException _missing) {
        error("the command 'counterwarp' is not on PATH. Run 'source .venv/bin/activate', or use a container profile.")
    }
}
