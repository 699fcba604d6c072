//! AWS's builder, signer and reader.

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use aws_nitro_enclaves_image_format::{
    defs::{EIF_HDR_ARCH_ARM64, EifBuildInfo, EifIdentityInfo},
    utils::{EifBuilder, EifSigner, PcrSignatureChecker, SignKeyData, eif_reader::EifReader},
};
use packproof_eif::image::{Architecture, HEADER_BYTES, SECTION_HEADER_BYTES};
use sha2_10::Digest;

use crate::{Result, parts::Parts, signer::Signer, text};

/// A section that claims more than this is not shown to AWS's reader, which asks for that much memory before it looks at
/// the file's length.
const MAX_CLAIM: u64 = 1 << 26;

/// Builds an image; returns the file and the registers that the builder gives.
pub fn build(dir: &Path, parts: &Parts, signer: Option<&Signer>) -> Result<(Vec<u8>, Vec<String>)> {
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(text).map(|()| path)
    };
    let info = EifIdentityInfo {
        img_name: format!("image {}", parts.number),
        img_version: "1".to_owned(),
        build_info: EifBuildInfo {
            build_time: "2026-01-01T00:00:00+00:00".to_owned(),
            build_tool: "judge".to_owned(),
            build_tool_version: "1".to_owned(),
            img_os: "Linux".to_owned(),
            img_kernel: "6.12".to_owned(),
        },
        docker_info: serde_json::json!({ "Id": parts.number }),
        custom_info: serde_json::Value::Null,
    };
    let flags = if parts.architecture == Architecture::Aarch64 { EIF_HDR_ARCH_ARM64 } else { 0 };
    let kernel = file("aws.kernel", &parts.kernel)?;
    let key = signer.map(key_data).transpose()?;
    let mut builder = EifBuilder::new(&kernel, parts.command_line.clone(), key, sha2_10::Sha384::new(), flags, info);
    for (index, ramdisk) in parts.ramdisks.iter().enumerate() {
        builder.add_ramdisk(&file(&format!("aws.ramdisk.{index}"), ramdisk)?);
    }
    let path = dir.join("aws.eif");
    let mut output = fs::File::create(&path).map_err(text)?;
    let measured = builder.write_to(&mut output);
    Ok((fs::read(&path).map_err(text)?, registers(&measured)))
}

/// Signs an image of any origin.
pub fn sign(dir: &Path, file: &[u8], signer: &Signer) -> Result<Vec<u8>> {
    let path = dir.join("to-sign.eif");
    fs::write(&path, file).map_err(text)?;
    EifSigner::new(Some(key_data(signer)?)).ok_or("no signer")?.sign_image(&name(&path))?;
    fs::read(&path).map_err(text)
}

/// The registers of a file that AWS's reader and both of its signature checks take, or why one of them does not.
pub fn read(dir: &Path, file: &[u8]) -> Result<Vec<String>> {
    if claims_too_much(file) {
        return Err("a section claims more than the file has".to_owned());
    }
    let path = dir.join("judged.eif");
    fs::write(&path, file).map_err(text)?;
    let path = name(&path);
    catch_unwind(AssertUnwindSafe(|| read_path(&path))).unwrap_or_else(|_| Err("panic".to_owned()))
}

/// The registers of a file on disk.
pub fn read_path(path: &str) -> Result<Vec<String>> {
    let mut reader = EifReader::from_eif(path.to_owned())?;
    if !reader.check_crc() {
        return Err("wrong CRC".to_owned());
    }
    let measured = reader.get_measurements()?;
    if reader.signature_section.is_some() {
        // the reader's hashers are used up by get_measurements, so it is told the registers
        reader.get_certificate_info(measured.clone())?;
        if reader.sign_check != Some(true) {
            return Err("the signature is over another PCR0".to_owned());
        }
        PcrSignatureChecker::from_eif(path)?.verify()?;
    }
    Ok(registers(&measured))
}

/// Follows the sections as AWS's reader does: by their own headers, whatever the table says.
fn claims_too_much(file: &[u8]) -> bool {
    let mut rest = file.get(HEADER_BYTES..).unwrap_or_default();
    while let Some((header, body)) = rest.split_at_checked(SECTION_HEADER_BYTES) {
        let size = header.get(4..).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        if size > MAX_CLAIM {
            return true;
        }
        rest = usize::try_from(size).ok().and_then(|size| body.get(size..)).unwrap_or_default();
    }
    false
}

fn key_data(signer: &Signer) -> Result<SignKeyData> {
    SignKeyData::new(&name(&signer.key_path), &signer.certificate_path)
}

fn registers(measured: &BTreeMap<String, String>) -> Vec<String> {
    ["PCR0", "PCR1", "PCR2", "PCR8"].iter().filter_map(|name| measured.get(*name).cloned()).collect()
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
