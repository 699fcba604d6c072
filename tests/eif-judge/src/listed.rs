//! One file for each listed difference: an image with one thing wrong, its CRC right.

use std::path::Path;

use packproof_eif::{
    base::METADATA,
    image::{HEADER_BYTES, Image, Section, SectionKind},
};
use packproof_receipt::cbor::Reader;

use crate::{
    Result, aws,
    changes::{mended, put},
    parts::Parts,
    signer::{Signer, with_signature},
    text,
};

/// Header offsets (`eif/SPEC.md`, "Container").
const COUNT: usize = 26;
const OFFSETS: usize = 28;
const SIZES: usize = 284;

/// Named files; `signer` has a version 3 certificate, `other_curve` a P-256 key.
pub fn files(dir: &Path, parts: &Parts, signer: &Signer, other_curve: &Signer) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let image = parts.image(METADATA);
    let mut files = container(&image)?;
    files.push(("(metadata)", changed_section(&image, SectionKind::Metadata, br#"{"ImageName":"x"}"#)?));
    for (name, section) in sections(&image, signer)? {
        files.push((name, with_signature(&image, &section)?));
    }
    files.push(("certificate_key", aws::sign(dir, &image.to_bytes().map_err(text)?, other_curve)?));
    Ok(files)
}

fn container(image: &Image<'_>) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let good = image.to_bytes().map_err(text)?;
    let count = u16::try_from(image.sections.len()).map_err(text)?;
    let end = u64::try_from(good.len()).map_err(text)?;
    let header = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        put(&mut file, at, bytes);
        mended(file)
    };
    let moved = |count: u16, more: &[u8]| {
        let mut file = good.clone();
        put(&mut file, COUNT, &count.to_be_bytes());
        if count > u16::try_from(image.sections.len()).unwrap_or(0) {
            put(&mut file, OFFSETS + 8 * image.sections.len(), &end.to_be_bytes());
        }
        file.extend(more);
        mended(file)
    };
    let kinds = |change: fn(&mut Vec<Section<'_>>)| {
        let mut sections = image.sections.clone();
        change(&mut sections);
        write(image, &sections)
    };
    Ok(vec![
        ("eif_magic", header(0, b"EIF.")),
        ("eif_version", header(4, &[0, 9])),
        ("eif_flags", header(6, &[0x80, 0])),
        ("eif_reserved", header(24, &[1])),
        ("eif_section_count", header(COUNT, &[0, 33])),
        ("eif_unused_table_entry", header(SIZES + 8 * 31, &[1])),
        ("eif_section_offset", header(OFFSETS + 8, &[1])),
        ("eif_section_size", header(SIZES + 8, &[1])),
        ("eif_short_section_header", moved(count + 1, b"")),
        ("eif_section_kind", header(4, &[0, 3])),
        ("eif_section_flags", header(HEADER_BYTES + 2, &[1])),
        // a ramdisk that is not counted; AWS's reader hashes it
        ("eif_trailing_bytes", moved(count, &[0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'x'])),
        ("eif_section_order", kinds(|sections| sections.swap(0, 1))),
        ("eif_section_times", kinds(|sections| sections.extend_from_within(..1))),
    ])
}

/// Signature sections, each right but for its form.
fn sections(image: &Image<'_>, signer: &Signer) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let (section, cose) = signature_of(image, signer)?;
    let (_, certificate) = signer.ours.as_ref().ok_or("not a P-384 key")?;
    let (pem, der) = (certificate.to_pem().into_bytes(), certificate.der());
    let both = |pem: &[u8], cose: &[u8]| fields(&[("signing_certificate", pem), ("signature", cose)]);
    if both(&pem, &cose) != section {
        return Err("a section made here is not the one made by packproof-eif".to_owned());
    }

    let utc_time = der.windows(2).position(|window| window == b"\x17\x0d").ok_or("no UTCTime")?;
    let edited = |from: &[u8], to: &[u8]| Ok::<_, String>(both(&pem_of(&replaced(der, from, to)?), &cose));
    let unprotected = replaced(&cose, &[0x44, 0xa1, 1, 0x38, 0x22, 0xa0], &[0x44, 0xa1, 1, 0x38, 0x22, 0xa1, 5, 6])?;
    Ok(vec![
        ("cbor_not_shortest", [&[0x98, 1], section.get(1..).unwrap_or_default()].concat()),
        ("cbor_indefinite_length", [&[0x9f], section.get(1..).unwrap_or_default(), &[0xff]].concat()),
        ("cbor_unexpected_item", byte_strings(&[("signing_certificate", &pem), ("signature", &cose)])),
        ("cbor_too_long", both(&pem, &unprotected)),
        ("signature_fields", fields(&[("signature", &cose), ("signing_certificate", &pem)])),
        ("certificate_pem", both(&[pem.as_slice(), &pem].concat(), &cose)),
        ("certificate_version", edited(&[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, 1])?),
        // the issuer's common name in T61String
        ("certificate_der", edited(&[0x55, 4, 3, 0x0c], &[0x55, 4, 3, 0x14])?),
        // valid from the 2040s on: the first time is a UTCTime of 13 characters
        ("(validity)", edited(der.get(utc_time..utc_time + 3).unwrap_or_default(), b"\x17\x0d4")?),
    ])
}

/// The section that `packproof-eif` makes, and the COSE bytes in it.
pub fn signature_of(image: &Image<'_>, signer: &Signer) -> Result<(Vec<u8>, Vec<u8>)> {
    let signed = signer.sign(image)?;
    let section = Image::parse(&signed).map_err(text)?.section(SectionKind::Signature).ok_or("not signed")?.to_vec();
    let cose = cose_of(&section)?;
    Ok((section, cose))
}

/// The image with this certificate beside a signature that is right for the certificate's key.
pub fn with_certificate(image: &Image<'_>, der: &[u8], cose: &[u8]) -> Result<Vec<u8>> {
    with_signature(image, &fields(&[("signing_certificate", &pem_of(der)), ("signature", cose)]))
}

/// The COSE bytes of a section of ours.
fn cose_of(section: &[u8]) -> Result<Vec<u8>> {
    let mut reader = Reader::new(section);
    let read = |reader: &mut Reader<'_>| {
        reader.text(32)?;
        let length = reader.array(20_000)?;
        (0..length).map(|_| reader.uint()).collect::<std::result::Result<Vec<_>, _>>()
    };
    reader.array(1).and_then(|_| reader.map(2)).and_then(|_| read(&mut reader)).map_err(text)?;
    read(&mut reader).map_err(text)?.into_iter().map(|byte| u8::try_from(byte).map_err(text)).collect()
}

fn fields(fields: &[(&str, &[u8])]) -> Vec<u8> {
    map(fields, 0x80, |out, bytes| {
        for byte in bytes {
            if *byte >= 24 {
                out.push(24);
            }
            out.push(*byte);
        }
    })
}

fn byte_strings(fields: &[(&str, &[u8])]) -> Vec<u8> {
    map(fields, 0x40, |out, bytes| out.extend(bytes))
}

/// An array of one map; `major` is the CBOR type of its values.
fn map(fields: &[(&str, &[u8])], major: u8, value: fn(&mut Vec<u8>, &[u8])) -> Vec<u8> {
    let mut out = vec![0x81, 0xa0 + u8::try_from(fields.len()).unwrap_or(0)];
    for (name, bytes) in fields {
        out.push(0x60 + u8::try_from(name.len()).unwrap_or(0));
        out.extend(name.bytes());
        match u8::try_from(bytes.len()) {
            Ok(length) => out.extend([major + 24, length]),
            Err(_) => {
                out.push(major + 25);
                out.extend(u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
            }
        }
        value(&mut out, bytes);
    }
    out
}

/// PEM as OpenSSL writes it.
fn pem_of(der: &[u8]) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")).into_bytes()
}

/// The bytes with the first occurrence replaced.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Result<Vec<u8>> {
    let at = bytes.windows(from.len()).position(|window| window == from).ok_or("nothing to replace")?;
    Ok([bytes.get(..at).unwrap_or_default(), to, bytes.get(at + from.len()..).unwrap_or_default()].concat())
}

fn changed_section(image: &Image<'_>, kind: SectionKind, bytes: &[u8]) -> Result<Vec<u8>> {
    let change = |section: &Section<'_>| section.kind == kind;
    let sections = image.sections.iter().map(|old| if change(old) { Section { kind, bytes } } else { *old });
    Image { sections: sections.collect(), ..image.clone() }.to_bytes().map_err(text)
}

/// A file with these sections, which our own writer would refuse.
fn write(image: &Image<'_>, sections: &[Section<'_>]) -> Vec<u8> {
    let good = image.to_bytes().unwrap_or_default();
    let mut file = good.get(..OFFSETS).unwrap_or_default().to_vec();
    put(&mut file, COUNT, &u16::try_from(sections.len()).unwrap_or(0).to_be_bytes());
    let (mut body, mut sizes) = (Vec::new(), Vec::new());
    for section in sections {
        let size = u64::try_from(section.bytes.len()).unwrap_or(0).to_be_bytes();
        file.extend(u64::try_from(HEADER_BYTES + body.len()).unwrap_or(0).to_be_bytes());
        sizes.extend(size);
        let kind = match section.kind {
            SectionKind::Kernel => 1,
            SectionKind::CommandLine => 2,
            SectionKind::Ramdisk => 3,
            SectionKind::Signature => 4,
            SectionKind::Metadata => 5,
        };
        body.extend([0, kind, 0, 0]);
        body.extend(size);
        body.extend(section.bytes);
    }
    file.resize(SIZES, 0);
    file.extend(sizes);
    file.resize(HEADER_BYTES, 0);
    file.extend(body);
    mended(file)
}
