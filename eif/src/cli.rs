//! The command `packproof-eif`.

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    Base, EifError,
    describe::{Description, describe},
    diff::diff,
    files::{read, write},
    image::{Architecture, Image, Section, SectionKind},
    signature::{self, Certificate, SignatureError, SigningKey},
};

/// Assembles, measures, shows, compares and signs enclave images.
#[derive(Parser)]
#[command(name = "packproof-eif", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an image from a release and a policy.
    Assemble(Assemble),
    /// Print PCR0, PCR1 and PCR2 of an image file, or of a release with a policy; PCR8 too when the image is signed.
    Measure {
        /// The image, of any origin.
        #[arg(required_unless_present = "release", conflicts_with_all = ["release", "policy"])]
        image: Option<PathBuf>,
        /// The release: its directory or release.json; its files are checked.
        #[arg(long, requires = "policy")]
        release: Option<PathBuf>,
        /// The policy, packproof.toml.
        #[arg(long, requires = "release")]
        policy: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show what is in an image of any origin.
    Show {
        /// The image.
        image: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Explain how two images differ. Exits with 1 when they do.
    Diff {
        /// Image A.
        a: PathBuf,
        /// Image B.
        b: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Sign an image, which adds PCR8; or write the bytes for a signer elsewhere and put its signature in.
    Sign(Sign),
    /// Write a release directory from a kernel, a command line and the enclave program.
    Release {
        /// Kernel image.
        #[arg(long)]
        kernel: PathBuf,
        /// File that holds the kernel command line, without a newline at its end.
        #[arg(long)]
        cmdline: PathBuf,
        /// The enclave program, which becomes /init.
        #[arg(long)]
        init: PathBuf,
        /// A label.
        #[arg(long)]
        name: String,
        /// Directory to write.
        #[arg(short, long)]
        output: PathBuf,
    },
}

#[derive(Args)]
struct Assemble {
    /// The release: its directory or release.json; its files are checked.
    #[arg(long)]
    release: PathBuf,
    /// The policy, packproof.toml; it is validated first.
    #[arg(long)]
    policy: PathBuf,
    /// Another kernel than the release's, such as AWS's. PCR1 is then not the release's.
    #[arg(long, requires = "cmdline")]
    kernel: Option<PathBuf>,
    /// File that holds the command line for that kernel, without a newline at its end.
    #[arg(long, requires = "kernel")]
    cmdline: Option<PathBuf>,
    /// Processor the image is for.
    #[arg(long, value_enum, default_value = "x86_64")]
    arch: Arch,
    /// Image to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Sign {
    /// The image, not signed yet.
    image: PathBuf,
    /// The signer's certificate, PEM, P-384.
    #[arg(long, required_unless_present = "to_be_signed")]
    certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, required_unless_present_any = ["signature", "to_be_signed"], conflicts_with_all = ["signature", "to_be_signed"])]
    key: Option<PathBuf>,
    /// A signature made elsewhere: ECDSA with SHA-384 over the bytes of --to-be-signed, 96 bytes or DER.
    #[arg(long, conflicts_with = "to_be_signed")]
    signature: Option<PathBuf>,
    /// Write the bytes to be signed to this file, and nothing else.
    #[arg(long, conflicts_with_all = ["certificate", "output"])]
    to_be_signed: Option<PathBuf>,
    /// Signed image to write.
    #[arg(short, long, required_unless_present = "to_be_signed")]
    output: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Arch {
    #[value(name = "x86_64")]
    X86_64,
    Aarch64,
}

impl From<Arch> for Architecture {
    fn from(arch: Arch) -> Self {
        match arch {
            Arch::X86_64 => Self::X86_64,
            Arch::Aarch64 => Self::Aarch64,
        }
    }
}

/// Runs the command. Returns its exit code: 0 done, 1 refused or different, 2 usage or unreadable input, 3 disk.
pub fn run<I: IntoIterator<Item = OsString>>(args: I, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = if error.use_stderr() { write!(err, "{error}") } else { write!(out, "{error}") };
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let done = match cli.command {
        Command::Assemble(args) => assemble(&args, out).map(|()| 0),
        Command::Measure { image, release, policy, json } => {
            measure(image.as_deref(), release.as_deref().zip(policy.as_deref()), json, out).map(|()| 0)
        }
        Command::Show { image, json } => show(&image, json, out).map(|()| 0),
        Command::Diff { a, b, json } => compare(&a, &b, json, out).map(u8::from),
        Command::Sign(args) => sign(&args, out).map(|()| 0),
        Command::Release { kernel, cmdline, init, name, output } => {
            release(&kernel, &cmdline, &init, &name, &output, out).map(|()| 0)
        }
    };
    done.unwrap_or_else(|error| {
        let _ = writeln!(err, "packproof-eif: error: {error} [{}]", error.code());
        error.exit_code()
    })
}

fn print(out: &mut dyn Write, text: &str) -> Result<(), EifError> {
    writeln!(out, "{text}").map_err(|error| EifError::Write("standard output".into(), error))
}

/// Prints the registers of an image; a signature must be right for them to be printed at all.
fn print_registers(image: &Image<'_>, json: bool, out: &mut dyn Write) -> Result<(), EifError> {
    let measured = image.measure();
    let signature = image.section(SectionKind::Signature);
    let certificate = signature.map(|section| signature::verify(section, &measured.pcr0)).transpose()?;
    let [pcr0, pcr1, pcr2] = [measured.pcr0, measured.pcr1, measured.pcr2].map(hex::encode);
    let pcr8 = certificate.map(|certificate| hex::encode(certificate.pcr8()));
    if json {
        return print(out, &json!({ "pcr0": pcr0, "pcr1": pcr1, "pcr2": pcr2, "pcr8": pcr8 }).to_string());
    }
    print(out, &format!("PCR0 {pcr0}\nPCR1 {pcr1}\nPCR2 {pcr2}"))?;
    pcr8.map_or(Ok(()), |pcr8| print(out, &format!("PCR8 {pcr8}")))
}

fn assemble(args: &Assemble, out: &mut dyn Write) -> Result<(), EifError> {
    let (mut base, release) = Base::read(&args.release)?;
    if let (Some(kernel), Some(cmdline)) = (&args.kernel, &args.cmdline) {
        base = base.with_kernel(read(kernel)?, read(cmdline)?);
    }
    let file = base.assemble(&read(&args.policy)?, args.arch.into())?;
    let image = Image::parse(&file)?;
    write(&args.output, &file)?;
    print_registers(&image, args.json, out)?;
    if !args.json && release.pcr1() != Some(image.measure().pcr1) {
        print(out, "PCR1 is not the release's: kernel and command line were replaced")?;
    }
    Ok(())
}

fn measure(
    image: Option<&Path>,
    release: Option<(&Path, &Path)>,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), EifError> {
    if let Some(image) = image {
        return print_registers(&Image::parse(&read(image)?)?, json, out);
    }
    let Some((release, policy)) = release else { return Ok(()) };
    let (base, _) = Base::read(release)?;
    let measured = base.measure(&read(policy)?)?;
    let [pcr0, pcr1, pcr2] = [measured.pcr0, measured.pcr1, measured.pcr2].map(hex::encode);
    if json {
        print(out, &json!({ "pcr0": pcr0, "pcr1": pcr1, "pcr2": pcr2 }).to_string())
    } else {
        print(out, &format!("PCR0 {pcr0}\nPCR1 {pcr1}\nPCR2 {pcr2}"))
    }
}

fn show(image: &Path, json: bool, out: &mut dyn Write) -> Result<(), EifError> {
    let file = read(image)?;
    let description = describe(&Image::parse(&file)?);
    if json {
        return print(out, &serde_json::to_string_pretty(&description).unwrap_or_default());
    }
    show_text(&description, out)
}

fn show_text(image: &Description, out: &mut dyn Write) -> Result<(), EifError> {
    print(out, &format!("EIF version {}, {}", image.version, image.architecture))?;
    for (name, register) in [("PCR0", &image.pcr0), ("PCR1", &image.pcr1), ("PCR2", &image.pcr2)] {
        print(out, &format!("{name} {register}"))?;
    }
    if let Some(pcr8) = &image.pcr8 {
        print(out, &format!("PCR8 {pcr8}"))?;
    }
    print(out, &format!("signature: {}", image.signature))?;
    print(out, "\nsections")?;
    for section in &image.sections {
        print(out, &format!("  {:<12} {:>10} {}", section.kind, section.size, section.sha384))?;
    }
    print(out, &format!("\ncommand line\n  {}", image.command_line))?;
    for (index, ramdisk) in image.ramdisks.iter().enumerate() {
        let canonical = ramdisk.canonical.map(|name| format!(", canonical {name} ramdisk")).unwrap_or_default();
        let compressed = if ramdisk.compressed { ", compressed" } else { "" };
        print(out, &format!("\nramdisk {index}{canonical}{compressed}"))?;
        if let Some(error) = &ramdisk.error {
            print(out, &format!("  not opened: {} [{}]", error.message, error.code))?;
        }
        for entry in &ramdisk.entries {
            let target = entry.link_target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
            let line = format!(
                "  {} {:<9} {} {:>10} {} {}{target}",
                entry.mode, entry.kind, entry.owner, entry.size, entry.sha384, entry.name
            );
            print(out, &line)?;
        }
    }
    for overlap in &image.overlaps {
        let ((first, old), (second, new)) = (&overlap.first, &overlap.second);
        print(out, &format!("\noverlap: {} (ramdisk {first}: {old}; ramdisk {second}: {new})", overlap.path))?;
    }
    if let Some(metadata) = &image.untrusted_metadata {
        print(out, &format!("\nmetadata, in no register and not to be believed\n  {metadata}"))?;
    }
    image.notes.iter().try_for_each(|note| print(out, &format!("\nnote: {note}")))
}

/// True when the images differ.
fn compare(a: &Path, b: &Path, json: bool, out: &mut dyn Write) -> Result<bool, EifError> {
    let (a, b) = (read(a)?, read(b)?);
    let found = diff(&Image::parse(&a)?, &Image::parse(&b)?);
    let measured = found.iter().any(|difference| difference.measured);
    if json {
        print(
            out,
            &json!({ "schema": 1, "same": found.is_empty(), "same_pcr0": !measured, "differences": found }).to_string(),
        )?;
        return Ok(!found.is_empty());
    }
    for difference in &found {
        let path = difference.path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
        let unmeasured = if difference.measured { "" } else { " (not measured)" };
        print(out, &format!("{}{path}{unmeasured}: {}", difference.part, difference.text))?;
    }
    print(
        out,
        match (found.is_empty(), measured) {
            (true, _) => "the files are the same",
            (false, false) => "the files differ, what is measured is the same",
            (false, true) => "the images differ",
        },
    )?;
    Ok(!found.is_empty())
}

fn sign(args: &Sign, out: &mut dyn Write) -> Result<(), EifError> {
    let file = read(&args.image)?;
    let mut image = Image::parse(&file)?;
    if image.section(SectionKind::Signature).is_some() {
        return Err(SignatureError::AlreadySigned.into());
    }
    let pcr0 = image.measure().pcr0;
    if let Some(path) = &args.to_be_signed {
        write(path, &signature::to_be_signed(&pcr0))?;
        return print_registers(&image, args.json, out);
    }
    let (Some(certificate), Some(output)) = (&args.certificate, &args.output) else { return Ok(()) };
    let certificate = Certificate::from_pem(&read(certificate)?)?;
    let signature = match (&args.key, &args.signature) {
        (Some(key), _) => SigningKey::from_pem(&Zeroizing::new(read(key)?))?.sign(&pcr0, &certificate)?,
        (None, Some(signature)) => read(signature)?,
        (None, None) => return Ok(()),
    };
    let section = signature::section(&pcr0, &certificate, &signature)?;
    image.sections.push(Section { kind: SectionKind::Signature, bytes: &section });
    write(output, &image.to_bytes()?)?;
    print_registers(&image, args.json, out)
}

fn release(
    kernel: &Path,
    cmdline: &Path,
    init: &Path,
    name: &str,
    output: &Path,
    out: &mut dyn Write,
) -> Result<(), EifError> {
    let base = Base::new(read(kernel)?, read(cmdline)?, &read(init)?);
    let release = base.write_release(output, name)?;
    print(out, &format!("PCR1 {}", release.pcr1))
}
