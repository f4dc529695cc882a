// The folder of what is about one of several case groups; of a single one everything lies at the top.
def folderOf(target) {
    return target ? "target-${target}/" : ''
}

// The option that names it.
def targetOption(target) {
    return target ? "--target ${target}" : ''
}
