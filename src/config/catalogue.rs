//! The catalogue of checks: every identifier that a report can hold, what it looks for, why that
//! matters and what to do. `verify --explain ID` prints a page of it, docs/checks.md is made
//! from it, and a profile's `[severity]` names its identifiers.

use std::fmt::Write;

use super::suggest;

/// What a check is about; the text report is grouped by it, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The machine and what it offers.
    Platform,
    /// Shared libraries and programs.
    Libraries,
    /// The interpreter and the modules it has to find.
    Python,
    /// Distributions and their requirements.
    Distributions,
    /// What distributions brought along: files, wheels, extension modules.
    Files,
    /// The command that is to be run.
    Command,
    /// A container that was run to be tested (`mak image test`).
    Trial,
    /// What an image says of itself (`mak image verify`).
    Image,
    /// The system's packages and tools (`mak deps`).
    Packages,
    /// The container engine of a build host (`mak deps`).
    Engine,
}

impl Group {
    /// All of them, in their order.
    pub const ALL: [Group; 10] = [
        Group::Platform,
        Group::Libraries,
        Group::Python,
        Group::Distributions,
        Group::Files,
        Group::Command,
        Group::Trial,
        Group::Image,
        Group::Packages,
        Group::Engine,
    ];

    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Platform => "Platform",
            Group::Libraries => "Libraries and programs",
            Group::Python => "Python",
            Group::Distributions => "Distributions",
            Group::Files => "Installed files",
            Group::Command => "Command",
            Group::Trial => "Trial in a container",
            Group::Image => "Image",
            Group::Packages => "Packages and tools",
            Group::Engine => "Container engine",
        }
    }
}

/// One page of the catalogue.
pub struct Page {
    /// The identifier, stable across versions.
    pub id: &'static str,
    /// Where it belongs.
    pub group: Group,
    /// What is looked for.
    pub looks_for: &'static str,
    /// What happens where it is wrong.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
}

const fn page(
    id: &'static str,
    group: Group,
    looks_for: &'static str,
    why: &'static str,
    fix: &'static str,
) -> Page {
    Page { id, group, looks_for, why, fix }
}

/// Every identifier.
pub const PAGES: &[Page] = &[
    page(
        "platform.unknown",
        Group::Platform,
        "an architecture that mak-init knows",
        "nothing can be said about files for a processor whose rules are not known",
        "run mak-init on the platform of the image, or leave verification out",
    ),
    page(
        "platform.expected",
        Group::Platform,
        "the architecture of the image's own files and of this machine against --expect-platform",
        "the image was built or pulled for another platform; it starts only where an emulator is registered",
        "build or pull the image for that platform, or correct the declaration",
    ),
    page(
        "platform.emulation",
        Group::Platform,
        "whether this process is emulated, and by what; the profile says what that means",
        "it is many times slower, and some system calls behave otherwise",
        "run the image for this machine's own architecture",
    ),
    page(
        "platform.page_size",
        Group::Platform,
        "the kernel's page size against [platform]",
        "files that are laid out for smaller pages cannot be loaded",
        "boot a kernel with such pages, or build for this size",
    ),
    page(
        "platform.memory",
        Group::Platform,
        "what memory machine and control group give, against [platform]",
        "the kernel ends the workload when it needs more",
        "raise the container's limits",
    ),
    page(
        "platform.cpus",
        Group::Platform,
        "how many processors machine and control group give, against [platform]",
        "the workload is slower than it may be",
        "raise the container's limits",
    ),
    page(
        "platform.kernel",
        Group::Platform,
        "the kernel's release against [platform]",
        "system calls that the workload needs may be wanting",
        "run on a newer one",
    ),
    page(
        "platform.device",
        Group::Platform,
        "a device node of [platform], and this user's rights to it",
        "the workload cannot open it",
        "give the device to the container",
    ),
    page(
        "platform.space",
        Group::Platform,
        "free space below the profile's writable directories",
        "writing ends with \"No space left on device\"",
        "make room on the volume",
    ),
    page(
        "platform.clock",
        Group::Platform,
        "a clock that is behind the year in which mak-init was built",
        "certificates are taken as not valid yet",
        "set the machine's clock",
    ),
    page(
        "platform.elsewhere",
        Group::Platform,
        "under --root, what only the machine itself can tell",
        "",
        "nothing, or verify where the image runs",
    ),
    page(
        "cpu.level",
        Group::Platform,
        "the x86-64 level that a file (full form) or the profile's [platform] asks for, against this processor or --cpu-level",
        "glibc refuses the file (\"CPU ISA level is lower than required\"); elsewhere it dies of SIGILL",
        "run on a newer processor, or install a build for an older level",
    ),
    page(
        "cpu.features",
        Group::Platform,
        "processor features that [platform] demands",
        "code that uses them dies of SIGILL",
        "run on a newer processor",
    ),
    page(
        "lib.missing",
        Group::Libraries,
        "a shared library where the image's own dynamic loader looks for it",
        "a program that needs it ends with \"cannot open shared object file\"",
        "install its package; run ldconfig in the image if the file is there and not in the cache",
    ),
    page(
        "lib.generation",
        Group::Libraries,
        "the library's SONAME generation: an older or newer one is there, the wanted one is not",
        "a program that needs it ends with \"cannot open shared object file\"",
        "install the generation that is named; a link to another one breaks at run time",
    ),
    page(
        "lib.version",
        Group::Libraries,
        "the profile's symbol_version in the file that is found",
        "a program that needs the version ends with \"version not found\"",
        "install a newer release of it",
    ),
    page(
        "lib.broken",
        Group::Libraries,
        "a file of the library's name that is no library: empty, a linker script, no regular file",
        "the loader stops at it and looks no further",
        "replace the file, or install the package again",
    ),
    page(
        "lib.closure",
        Group::Libraries,
        "everything the library needs, with symbol versions (full form)",
        "the library is there and cannot be loaded",
        "install what is named; build for this image's libc",
    ),
    page(
        "elf.machine",
        Group::Libraries,
        "files for another processor than the image's: libraries, extension modules, interpreters",
        "loaders pass over such a file without a word and then say \"No such file or directory\"",
        "install it for this platform; do not copy it from a stage that runs on the build platform",
    ),
    page(
        "elf.alignment",
        Group::Libraries,
        "segments aligned for the kernel's page size, or for --page-size (full form)",
        "the loader ends with \"ELF load command alignment not page-aligned\"",
        "link with -Wl,-z,max-page-size=65536, or run on a kernel with smaller pages",
    ),
    page(
        "loader.preload",
        Group::Libraries,
        "files that LD_PRELOAD and /etc/ld.so.preload name, and what they need (full form)",
        "one that is not found is left out by the loader; one that cannot be loaded ends every program",
        "correct the name; install what it needs",
    ),
    page(
        "opencl.loader",
        Group::Libraries,
        "libOpenCL.so.1 as the image's loader finds it, with all it needs in the full form",
        "programs that use OpenCL cannot be loaded",
        "install an OpenCL ICD loader",
    ),
    page(
        "opencl.driver",
        Group::Libraries,
        "at least one device driver of /etc/OpenCL/vendors (or OCL_ICD_VENDORS, OPENCL_VENDOR_PATH, OCL_ICD_FILENAMES) that is found, for this machine, a driver by its exports, and in the full form has all it needs",
        "every program gets CL_PLATFORM_NOT_FOUND_KHR (-1001)",
        "install a driver; NVIDIA's comes with the container runtime",
    ),
    page(
        "opencl.icd",
        Group::Libraries,
        "the other drivers, where one works",
        "the OpenCL loader passes over them",
        "install what the driver needs, or remove its .icd file",
    ),
    page(
        "binary.missing",
        Group::Libraries,
        "a program of the profile; an optional one that is absent is skipped",
        "the workload cannot start it",
        "install it",
    ),
    page(
        "binary.machine",
        Group::Libraries,
        "the processor that a program of the profile is for",
        "it ends with \"exec format error\", or runs under an emulator",
        "install it for this platform",
    ),
    page(
        "binary.loader",
        Group::Libraries,
        "the dynamic loader of a program of the profile",
        "its start ends with \"No such file or directory\" although it is there",
        "install it for this platform and this libc",
    ),
    page(
        "binary.refused",
        Group::Libraries,
        "whether a program of the profile can be executed: rights, mounts, format",
        "its start is refused",
        "install it for this platform; what the message says",
    ),
    page(
        "binary.closure",
        Group::Libraries,
        "everything a program of the profile loads, with symbol versions",
        "it ends before its first line with \"error while loading shared libraries\"",
        "install what is named",
    ),
    page(
        "elf.broken",
        Group::Files,
        "an extension module or bundled library that is no whole ELF file",
        "its import fails",
        "install the distribution again",
    ),
    page(
        "python.missing",
        Group::Python,
        "the interpreter that would run, with its standard library",
        "the workload cannot be started",
        "install Python, or name it: interpreter in the profile, --python",
    ),
    page(
        "python.version",
        Group::Python,
        "the interpreter's version against the profile's requires and a project's requires-python; an environment that was made with another one",
        "code for a newer Python ends with a SyntaxError, or in the middle of the work",
        "build the image on that Python",
    ),
    page(
        "python.module",
        Group::Python,
        "a module that python -m would run, from the command line or the profile's modules",
        "python -m ends at once: \"No module named …\", or \"cannot be directly executed\"",
        "install the distribution that holds it; a package needs a __main__.py to be run",
    ),
    page(
        "dist.missing",
        Group::Distributions,
        "a required distribution, directly or through another one",
        "its import fails",
        "pip install it when the image is built",
    ),
    page(
        "dist.version",
        Group::Distributions,
        "an installed version against the requirement",
        "an interface that the code relies on may be another one",
        "pip install the version that is named",
    ),
    page(
        "dist.constraint",
        Group::Distributions,
        "an installed version against a constraints file (-c)",
        "the image holds something else than what was agreed on",
        "pip install -c the constraints when the image is built",
    ),
    page(
        "dist.source",
        Group::Distributions,
        "a requirement with an address against the direct_url.json of what is installed (PEP 610)",
        "another build of the distribution is installed, from an index or another address",
        "pip install --force-reinstall the requirement with its address",
    ),
    page(
        "dist.python",
        Group::Distributions,
        "Requires-Python of a distribution against the interpreter",
        "the distribution does not support this Python",
        "build the image on that Python, or take a version of it for this one",
    ),
    page(
        "dist.broken",
        Group::Distributions,
        "metadata of a required distribution that cannot be read",
        "nothing can be said about it, and pip cannot handle it either",
        "pip install --force-reinstall it",
    ),
    page(
        "dist.metadata",
        Group::Distributions,
        "metadata that the standards do not allow",
        "one requirement of it is not checked",
        "report it to its author",
    ),
    page(
        "dist.marker",
        Group::Distributions,
        "a requirement that is not met and whose marker files cannot answer",
        "it may or may not apply where the image runs",
        "look whether it applies; name it without a marker if it does",
    ),
    page(
        "dist.extra",
        Group::Distributions,
        "an extra that the distribution does not offer",
        "what it was meant to bring along is not installed",
        "correct the requirement",
    ),
    page(
        "dist.shadowed",
        Group::Distributions,
        "two versions of a distribution in one folder",
        "which of them Python sees hangs on the order of the directory",
        "remove one; they are the remains of an upgrade",
    ),
    page(
        "requirement.invalid",
        Group::Distributions,
        "a requirement, a specifier or a file of them that cannot be read",
        "it is not checked",
        "correct it; the message names file and line",
    ),
    page(
        "requirement.note",
        Group::Distributions,
        "a line of a requirements file that says nothing that could be checked",
        "",
        "nothing, or write it as name @ address",
    ),
    page(
        "record.missing",
        Group::Files,
        "files that a distribution was installed with (full form)",
        "a layer, a COPY or a clean-up has removed them; importing them fails. A warning outside of the site folder, where pip --target records scripts that it puts elsewhere",
        "install the distribution again, and remove nothing of it afterwards",
    ),
    page(
        "record.size",
        Group::Files,
        "files of another size than was installed (full form)",
        "they were cut short or changed after the installation. A warning for data such as certificates, for scripts outside of the site folder, and for packages of Debian and Alpine, which strip files after recording",
        "install the distribution again",
    ),
    page(
        "record.hash",
        Group::Files,
        "files with other contents than was installed (--hashes)",
        "they were changed after the installation. A warning for what is not code, and for Debian's packages",
        "install the distribution again",
    ),
    page(
        "record.unreadable",
        Group::Files,
        "a RECORD, or a file of it, that cannot be read (full form)",
        "without RECORD the files are not checked; a file that the user may not read, by its own mode or for want of x on a folder above it, cannot be imported either",
        "install the distribution again; where rights are missing, chmod -R a+rX its files, or verify as the user that the image runs as",
    ),
    page(
        "record.none",
        Group::Files,
        "a distribution without a RECORD (full form)",
        "its files are not checked; packages of a Linux distribution have none",
        "nothing",
    ),
    page(
        "wheel.tag",
        Group::Files,
        "a wheel that was made for another Python, processor or libc, or whose WHEEL cannot be read (full form)",
        "its extension modules are not found or cannot be loaded",
        "pip install it on the platform of the image",
    ),
    page(
        "extension.suffix",
        Group::Files,
        "an extension module that this interpreter does not look for (full form)",
        "its import ends with ModuleNotFoundError although the file is there",
        "install the distribution for this Python",
    ),
    page(
        "extension.closure",
        Group::Files,
        "everything an extension module loads, with symbol versions (full form)",
        "its import ends with ImportError. A warning for a library that is no module, such as a plugin: it may never be loaded",
        "install what is named; on an older libc take an older wheel or build it there",
    ),
    page(
        "command.missing",
        Group::Command,
        "the program of the command in PATH",
        "the container ends with 127",
        "install it in the image, or correct the command",
    ),
    page(
        "command.path",
        Group::Command,
        "the path of the command: links in a circle, names too long",
        "the container ends with 126 or 127",
        "correct the path",
    ),
    page(
        "command.permission",
        Group::Command,
        "the x bit for this user, folders on the way, access lists",
        "the container ends with 126, \"permission denied\"",
        "chmod it in the image, or run it as another user",
    ),
    page(
        "command.mount",
        Group::Command,
        "a file system that is mounted noexec",
        "the container ends with 126, \"permission denied\"",
        "mount it with exec, or put the program elsewhere",
    ),
    page(
        "command.format",
        Group::Command,
        "a folder, an empty file, text without #!, a broken ELF file",
        "the container ends with 126, \"exec format error\"",
        "name its interpreter in the command or the first line; replace the file",
    ),
    page(
        "command.interpreter",
        Group::Command,
        "the interpreter of a script, through scripts and env",
        "the container ends with 127 although the script is there",
        "install the interpreter; correct the first line",
    ),
    page(
        "command.machine",
        Group::Command,
        "a program for another processor",
        "the container ends with 126, \"exec format error\"",
        "build or pull it for this platform",
    ),
    page(
        "command.loader",
        Group::Command,
        "the dynamic loader of the program",
        "the container ends with 127 although the program is there",
        "build it for the libc of the image",
    ),
    page(
        "command.busy",
        Group::Command,
        "a program that is open for writing",
        "the container ends with 126, \"text file busy\"",
        "finish writing it before the start",
    ),
    page(
        "command.refused",
        Group::Command,
        "what only the kernel sees: arguments, memory, limits",
        "the container ends with 126 or 127",
        "what the message says",
    ),
    page(
        "command.closure",
        Group::Command,
        "everything the program loads, with symbol versions",
        "it ends before its first line with \"error while loading shared libraries\"",
        "install what is named",
    ),
    #[cfg(feature = "mak")]
    page(
        "trial.architecture",
        Group::Trial,
        "whether there is an image for the platform, by its label",
        "an engine runs the image of another platform, emulated or not at all",
        "build it with mak build for that platform",
    ),
    #[cfg(feature = "mak")]
    page(
        "trial.startup",
        Group::Trial,
        "whether the container starts, stays up, and ends on its stop signal without being killed",
        "an image that cannot start is found out in production; one that has to be killed loses what it was doing",
        "read its log; let mak-init be its PID 1, which passes signals on",
    ),
    #[cfg(feature = "mak")]
    page(
        "trial.runtime",
        Group::Trial,
        "for which machine the programs are that the container runs, by their files",
        "a label or uname under an emulator says what one likes to hear",
        "install the program for the image's platform",
    ),
    #[cfg(feature = "mak")]
    page(
        "trial.process",
        Group::Trial,
        "whether programs can be run inside, PATH finds any, and the image's HEALTHCHECK can be started",
        "a check that cannot be run makes a healthy container unhealthy for ever",
        "HEALTHCHECK CMD [\"/mak-init\", \"healthcheck\"]",
    ),
    #[cfg(feature = "mak")]
    page(
        "trial.network",
        Group::Trial,
        "whether the published port answers HTTP from outside the container",
        "a service on 127.0.0.1 is healthy inside and out of reach",
        "listen on 0.0.0.0",
    ),
    #[cfg(feature = "mak")]
    page(
        "trial.health",
        Group::Trial,
        "whether /health or /api/healthchecker answers 2xx within 10 s, and what the image's HEALTHCHECK says",
        "what is not healthy gets no traffic",
        "answer one of them",
    ),
    #[cfg(feature = "mak")]
    page(
        "trial.resources",
        Group::Trial,
        "memory, processes and processor time at rest against the limits of --memory, --processes and --processor",
        "what uses more at rest than was planned for is killed under load",
        "let it use less, or plan for more",
    ),
    #[cfg(feature = "mak")]
    page(
        "trial.verify",
        Group::Trial,
        "mak-init verify --full inside the container, with the image's profile",
        "what a file lacks is not seen before it is loaded",
        "each line of the report says what to do",
    ),
    #[cfg(feature = "mak")]
    page(
        "trial.modules",
        Group::Trial,
        "whether the modules of the distributions that the profile requires can be imported",
        "an extension module may need what no metadata names",
        "install what the module needs on that platform",
    ),
    #[cfg(feature = "mak")]
    page(
        "elf.packed",
        Group::Libraries,
        "programs packed with UPX",
        "nothing can be verified of a packed program, scanners see none of its parts, and it unpacks itself into memory at every start",
        "leave the packing out: layers are compressed anyway",
    ),
    #[cfg(feature = "mak")]
    page(
        "elf.interpreter",
        Group::Libraries,
        "programs of an image whose dynamic loader is not in it",
        "such a program ends with \"not found\" although its file is there: a glibc program on a musl image, or the other way round",
        "build it for the image's libc, or link it statically",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.platform",
        Group::Image,
        "the platforms that were asked for among those of the image or index",
        "a pull for a platform that is missing ends with \"no matching manifest\"",
        "build the image for that platform too: docker buildx build --platform",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.label",
        Group::Image,
        "what index, configuration and the labels build.architecture and build.platform say, against each other and against --platform",
        "engines pull by the index and start by the configuration; who reads the label believes something else",
        "declare TARGETARCH after FROM and label from it; do not set --platform in FROM by hand",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.digest",
        Group::Image,
        "the digests of manifests, configuration and layers",
        "engines refuse the image, or its layers are not those that were signed",
        "build or pull it again",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.layer",
        Group::Image,
        "layers that can be read, and members that an engine would refuse",
        "the image cannot be unpacked whole",
        "build it again; a member with .. in its path comes from no builder",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.entrypoint",
        Group::Image,
        "the command that entrypoint and cmd come to, inside the image, as its user",
        "docker run without arguments ends at once",
        "see the command.* checks for what stands in the way",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.healthcheck",
        Group::Image,
        "whether the health check can be started inside the image: its program, and a shell for the shell form",
        "the container is unhealthy for ever, and whoever waits for it waits for ever",
        "write it in the exec form: HEALTHCHECK CMD [\"/mak-init\", \"healthcheck\"]",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.user",
        Group::Image,
        "the image's user in its own /etc/passwd and /etc/group",
        "engines refuse the start: unable to find user",
        "add the user to the image, or name it by its number",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.suid",
        Group::Image,
        "set-user-ID and set-group-ID files that no package of the distribution has brought",
        "who runs one becomes its owner, whatever the container's user is",
        "chmod a-s, or drop the file; at run time: no-new-privileges",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.writable",
        Group::Image,
        "files that everybody may write, and folders without the sticky bit",
        "any process in the container can replace what others run or read",
        "chmod o-w, or give the folder to the user who writes",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.size",
        Group::Image,
        "bytes per layer and in all",
        "every node that starts the image pulls them",
        "nothing to do; look at the largest layer first",
    ),
    #[cfg(feature = "mak")]
    page(
        "image.distributions",
        Group::Image,
        "the same Python distributions in the same versions on all platforms of an index",
        "what was tested on one platform is not what runs on the other",
        "install from one lock file for all platforms",
    ),
    #[cfg(feature = "mak")]
    page(
        "package.manager",
        Group::Packages,
        "a package manager that is known, and its database in a finished state",
        "nothing can be installed, or the next command of the manager stops at what an interrupted one has left",
        "finish what was interrupted: `mak deps --install` does it first",
    ),
    #[cfg(feature = "mak")]
    page(
        "package.missing",
        Group::Packages,
        "packages of `[[package]]` that bring no library and no command, in the package database",
        "what is built or run with them does not find them",
        "install them: the check has the command",
    ),
    #[cfg(feature = "mak")]
    page(
        "package.rights",
        Group::Packages,
        "the right to install packages",
        "the package manager refuses",
        "run as root, or allow `--sudo`",
    ),
    #[cfg(feature = "mak")]
    page(
        "package.lock",
        Group::Packages,
        "a package lock that nobody else has, within `--lock-timeout`",
        "two package managers at once are refused",
        "let the process that is named finish; exit code 75",
    ),
    #[cfg(feature = "mak")]
    page(
        "package.install",
        Group::Packages,
        "that the package manager's command works",
        "what it should have brought is missing",
        "what it printed is the evidence; where the reason passes the exit code is 75",
    ),
    #[cfg(feature = "mak")]
    page(
        "package.interrupted",
        Group::Packages,
        "an installation that runs to its end",
        "what comes behind it is missing",
        "run the same command again: it goes on with what is missing",
    ),
    #[cfg(feature = "mak")]
    page(
        "tool.missing",
        Group::Packages,
        "a command of `[[package]]` in PATH",
        "what is built with it fails at its first call",
        "install the package: the check has the command",
    ),
    #[cfg(feature = "mak")]
    page(
        "tool.version",
        Group::Packages,
        "the version that a command prints against `version`",
        "an older tool lacks what is used of it",
        "install a newer one",
    ),
    #[cfg(feature = "mak")]
    page(
        "download.missing",
        Group::Libraries,
        "a program with `[[binary.download]]` at its destination",
        "it cannot be started",
        "`mak deps --install` fetches it",
    ),
    #[cfg(feature = "mak")]
    page(
        "download.platform",
        Group::Libraries,
        "a `[[binary.download]]` for this platform",
        "it cannot be fetched here",
        "add one to the profile",
    ),
    #[cfg(feature = "mak")]
    page(
        "download.failed",
        Group::Libraries,
        "that a download comes whole, with its sha256 and for this machine",
        "nothing is put in place of what was there",
        "correct the profile's URL or hash; where the server is at fault, run it again",
    ),
    #[cfg(feature = "mak")]
    page(
        "dist.managed",
        Group::Distributions,
        "an interpreter that pip may install into (PEP 668)",
        "pip and uv refuse, since the distribution's own tools would break",
        "make a virtual environment and run `mak` in it",
    ),
    #[cfg(feature = "mak")]
    page(
        "dist.install",
        Group::Distributions,
        "that pip or uv install what is missing",
        "what it should have brought is missing",
        "what it printed is the evidence",
    ),
    #[cfg(feature = "mak")]
    page(
        "dist.wheel",
        Group::Distributions,
        "a wheel for this platform and Python",
        "it is built from source, which needs compilers and headers",
        "install the packages that are named",
    ),
    #[cfg(feature = "mak")]
    page(
        "engine.reachable",
        Group::Engine,
        "a container engine that answers on its socket",
        "no image can be built or run here",
        "start it, or name its socket with DOCKER_HOST",
    ),
    #[cfg(feature = "mak")]
    page(
        "engine.platform",
        Group::Engine,
        "the engine's machine against this one",
        "images are built for, and run on, another platform than expected",
        "name the platform with `--platform`",
    ),
    #[cfg(feature = "mak")]
    page(
        "engine.memory",
        Group::Engine,
        "the engine's memory against `[engine]`",
        "builds are killed for want of memory",
        "give its virtual machine more",
    ),
    #[cfg(feature = "mak")]
    page(
        "engine.buildkit",
        Group::Engine,
        "BuildKit as the default builder",
        "`RUN --mount` and builds for several platforms fail",
        "use an engine from version 23 on",
    ),
    #[cfg(feature = "mak")]
    page(
        "engine.buildx",
        Group::Engine,
        "the buildx plugin of the client",
        "no image can be built for several platforms",
        "install docker-buildx",
    ),
    #[cfg(feature = "mak")]
    page(
        "engine.emulator",
        Group::Engine,
        "a registered emulator for each platform of `[engine]`, with the flag F",
        "containers of that platform end with \"exec format error\"",
        "install qemu-user-static, or register handlers with F",
    ),
    #[cfg(feature = "mak")]
    page(
        "engine.run",
        Group::Engine,
        "that the engine runs an image of one file, our own binary; nothing is pulled",
        "no container runs here",
        "look at the engine's own log",
    ),
];

/// The page of an identifier.
pub fn find(id: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.id == id)
}

/// `; did you mean …?` for an identifier that is none.
pub fn hint(id: &str) -> String {
    suggest::hint(id, PAGES.iter().map(|page| page.id))
}

impl Page {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = format!("{} ({})\n\n", self.id, self.group.title());
        let _ = writeln!(out, "Looks for   {}", self.looks_for);
        if !self.why.is_empty() {
            let _ = writeln!(out, "Otherwise   {}", self.why);
        }
        let _ = writeln!(out, "What to do  {}", self.fix);
        let _ = writeln!(
            out,
            "Severity    of the part that is checked; [severity] \"{}\" = \"off\", \"optional\" or \
             \"required\" in a profile overrides it",
            self.id
        );
        out
    }
}

/// docs/checks.md.
pub fn document() -> String {
    let mut out = String::from(
        "# The checks\n\n\
         Made from src/config/catalogue.rs; `mak-init verify --explain ID` prints one of them.\n\n\
         A failed check ends verification where the part it belongs to is required, and is \
         tolerated where that is optional. A profile can set it for one identifier, which is \
         stronger:\n\n\
         ```toml\n[severity]\n\"dist.shadowed\" = \"required\"\n\"record.size\" = \"off\"\n```\n",
    );
    for group in Group::ALL {
        let _ = write!(out, "\n## {}\n\n", group.title());
        out.push_str("| identifier | looks for | otherwise | what to do |\n|---|---|---|---|\n");
        for page in PAGES.iter().filter(|page| page.group == group) {
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} |",
                page.id, page.looks_for, page.why, page.fix
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// `UPDATE_DOCS=1 cargo test` writes the page that this test then expects.
    #[cfg(feature = "mak")]
    #[test]
    fn the_page_in_the_repository_is_the_one_the_catalogue_makes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/checks.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), document());
    }

    #[test]
    fn identifiers_are_unique_and_of_the_form_part_problem() {
        let ids: BTreeSet<&str> = PAGES.iter().map(|page| page.id).collect();
        assert_eq!(ids.len(), PAGES.len());
        for id in ids {
            let parts: Vec<&str> = id.split('.').collect();
            assert_eq!(parts.len(), 2, "{id}");
            let plain =
                |part: &&str| part.bytes().all(|b| b.is_ascii_lowercase() || b"-_".contains(&b));
            assert!(parts.iter().all(|part| !part.is_empty() && plain(part)), "{id}");
        }
    }

    /// Every quoted text of the form part.problem in a folder of the source, outside tests.
    fn used(folder: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(used(&path));
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for word in line.split('"').skip(1).step_by(2) {
                    let Some((part, problem)) = word.split_once('.') else { continue };
                    let known = PAGES.iter().any(|page| page.id.split('.').next() == Some(part));
                    let plain = |c: char| c.is_ascii_lowercase() || "-_".contains(c);
                    if known && !problem.is_empty() && problem.chars().all(plain) {
                        found.insert(word.to_owned());
                    }
                }
            }
        }
        found
    }

    #[test]
    fn the_code_uses_what_the_catalogue_holds_and_nothing_else() {
        let known: BTreeSet<String> = PAGES.iter().map(|page| page.id.to_owned()).collect();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let folders = if cfg!(feature = "mak") {
            &["verify", "deps", "image", "trial"][..]
        } else {
            &["verify"][..]
        };
        let used: BTreeSet<String> =
            folders.iter().flat_map(|folder| used(&source.join(folder))).collect();
        assert_eq!(used, known);
    }
}
