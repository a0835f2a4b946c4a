//! What can be ordered: server types with their prices, locations, and images.
//!
//! Sizes and European prices are a third party's, of August 2026, rounded. Made up or inferred are: ids, except for the
//! location `fsn1`; which type is offered where; the same price in every location; the prices and the withdrawal of the
//! old types; categories; the price of traffic and storage. Prices change: nobody should depend on these numbers.

/// The processor family of a type or an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arch {
    X86,
    Arm,
}

impl Arch {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Arm => "arm",
        }
    }
}

/// Whether cores are shared with other customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cpu {
    Shared,
    Dedicated,
}

impl Cpu {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Dedicated => "dedicated",
        }
    }
}

/// Where a type is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// In the European locations.
    Europe,
    /// Everywhere.
    Everywhere,
    /// Still listed in the European locations, but no longer to be had: it is an old generation.
    Withdrawn,
}

/// A server type. Sizes in gigabytes; prices in thousandths of a euro, without tax.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerType {
    pub(super) id: u64,
    pub(super) name: &'static str,
    pub(super) cores: u32,
    pub(super) memory: u32,
    pub(super) disk: u32,
    pub(super) cpu: Cpu,
    pub(super) arch: Arch,
    pub(super) offer: Offer,
    pub(super) milli_euro_per_hour: u64,
    pub(super) milli_euro_per_month: u64,
}

impl ServerType {
    pub(super) fn offered_in(&self, location: &Location) -> bool {
        match self.offer {
            Offer::Europe | Offer::Withdrawn => location.zone == "eu-central",
            Offer::Everywhere => true,
        }
    }

    pub(super) fn category(&self) -> &'static str {
        match (self.cpu, self.name.starts_with("cpx")) {
            (Cpu::Dedicated, _) => "General Purpose",
            (Cpu::Shared, true) => "Regular Performance",
            (Cpu::Shared, false) => "Cost-Optimized",
        }
    }

    /// Whole cents, rounded up, so that nothing that costs money looks free.
    pub(super) fn cents_per_hour(&self) -> u64 {
        self.milli_euro_per_hour.div_ceil(10)
    }
}

const fn server_type(
    id: u64,
    name: &'static str,
    (cores, memory, disk): (u32, u32, u32),
    (cpu, arch, offer): (Cpu, Arch, Offer),
    (milli_euro_per_hour, milli_euro_per_month): (u64, u64),
) -> ServerType {
    ServerType {
        id,
        name,
        cores,
        memory,
        disk,
        cpu,
        arch,
        offer,
        milli_euro_per_hour,
        milli_euro_per_month,
    }
}

const DEDICATED: (Cpu, Arch, Offer) = (Cpu::Dedicated, Arch::X86, Offer::Everywhere);
const ARM: (Cpu, Arch, Offer) = (Cpu::Shared, Arch::Arm, Offer::Europe);
const REGULAR: (Cpu, Arch, Offer) = (Cpu::Shared, Arch::X86, Offer::Everywhere);
const CHEAP: (Cpu, Arch, Offer) = (Cpu::Shared, Arch::X86, Offer::Europe);
const OLD: (Cpu, Arch, Offer) = (Cpu::Shared, Arch::X86, Offer::Withdrawn);

pub(super) const SERVER_TYPES: &[ServerType] = &[
    server_type(22, "cpx11", (2, 2, 40), OLD, (8, 5_390)),
    server_type(45, "cax11", (2, 4, 40), ARM, (10, 5_990)),
    server_type(93, "cax21", (4, 8, 80), ARM, (17, 10_490)),
    server_type(94, "cax31", (8, 16, 160), ARM, (34, 20_990)),
    server_type(95, "cax41", (16, 32, 320), ARM, (66, 40_990)),
    server_type(96, "ccx13", (2, 8, 80), DEDICATED, (69, 42_990)),
    server_type(97, "ccx23", (4, 16, 160), DEDICATED, (138, 85_990)),
    server_type(98, "ccx33", (8, 32, 240), DEDICATED, (222, 138_490)),
    server_type(99, "ccx43", (16, 64, 360), DEDICATED, (442, 275_990)),
    server_type(100, "ccx53", (32, 128, 600), DEDICATED, (855, 533_490)),
    server_type(101, "ccx63", (48, 192, 960), DEDICATED, (1_368, 853_490)),
    server_type(104, "cx22", (2, 4, 40), OLD, (7, 4_490)),
    server_type(109, "cpx22", (2, 4, 80), REGULAR, (31, 19_490)),
    server_type(110, "cpx32", (4, 8, 160), REGULAR, (57, 35_490)),
    server_type(111, "cpx42", (8, 16, 320), REGULAR, (111, 69_490)),
    server_type(112, "cpx52", (12, 24, 480), REGULAR, (161, 100_490)),
    server_type(113, "cpx62", (16, 32, 640), REGULAR, (208, 129_990)),
    server_type(114, "cx23", (2, 4, 40), CHEAP, (9, 5_490)),
    server_type(115, "cx33", (4, 8, 80), CHEAP, (14, 8_490)),
    server_type(116, "cx43", (8, 16, 160), CHEAP, (26, 15_990)),
    server_type(117, "cx53", (16, 32, 320), CHEAP, (47, 29_490)),
];

/// A place to put a server. The coordinates are those of the city.
#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    pub(super) id: u64,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) country: &'static str,
    pub(super) city: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) zone: &'static str,
}

const fn location(
    id: u64,
    (name, description): (&'static str, &'static str),
    (country, city): (&'static str, &'static str),
    (latitude, longitude): (f64, f64),
    zone: &'static str,
) -> Location {
    Location { id, name, description, country, city, latitude, longitude, zone }
}

pub(super) const LOCATIONS: &[Location] = &[
    location(
        1,
        ("fsn1", "Falkenstein DC Park 1"),
        ("DE", "Falkenstein"),
        (50.47612, 12.370_071),
        "eu-central",
    ),
    location(
        2,
        ("nbg1", "Nuremberg DC Park 1"),
        ("DE", "Nuremberg"),
        (49.452, 11.077),
        "eu-central",
    ),
    location(3, ("hel1", "Helsinki DC Park 1"), ("FI", "Helsinki"), (60.17, 24.938), "eu-central"),
    location(4, ("ash", "Ashburn, VA"), ("US", "Ashburn, VA"), (39.044, -77.488), "us-east"),
    location(5, ("hil", "Hillsboro, OR"), ("US", "Hillsboro, OR"), (45.542, -122.936), "us-west"),
    location(6, ("sin", "Singapore"), ("SG", "Singapore"), (1.283, 103.833), "ap-southeast"),
];

/// A system image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub(super) id: u64,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) flavor: &'static str,
    pub(super) version: &'static str,
    pub(super) arch: Arch,
}

const fn image(
    id: u64,
    (name, description): (&'static str, &'static str),
    (flavor, version): (&'static str, &'static str),
    arch: Arch,
) -> Image {
    Image { id, name, description, flavor, version, arch }
}

pub(super) const IMAGES: &[Image] = &[
    image(114_690_387, ("debian-12", "Debian 12"), ("debian", "12"), Arch::X86),
    image(114_690_389, ("debian-12", "Debian 12"), ("debian", "12"), Arch::Arm),
    image(310_557_658, ("debian-13", "Debian 13"), ("debian", "13"), Arch::X86),
    image(310_557_660, ("debian-13", "Debian 13"), ("debian", "13"), Arch::Arm),
    image(161_547_269, ("ubuntu-24.04", "Ubuntu 24.04"), ("ubuntu", "24.04"), Arch::X86),
    image(161_547_270, ("ubuntu-24.04", "Ubuntu 24.04"), ("ubuntu", "24.04"), Arch::Arm),
];

/// What a primary IPv4 costs; a primary IPv6 is free. In thousandths of a euro, and rounded up like every price.
pub(super) const IPV4_MILLI_EURO_PER_HOUR: u64 = 1;
pub(super) const IPV4_MILLI_EURO_PER_MONTH: u64 = 500;

/// Finds by name, or by an id printed as a number.
pub(super) fn find_server_type(reference: &str) -> Option<&'static ServerType> {
    SERVER_TYPES.iter().find(|t| t.name == reference || t.id.to_string() == reference)
}

/// Finds by name, or by an id printed as a number.
pub(super) fn find_location(reference: &str) -> Option<&'static Location> {
    LOCATIONS.iter().find(|l| l.name == reference || l.id.to_string() == reference)
}

/// Finds by name for one architecture, or by an id printed as a number, whose architecture may then be the wrong one.
pub(super) fn find_image(reference: &str, arch: Arch) -> Option<&'static Image> {
    let by_id = IMAGES.iter().find(|i| i.id.to_string() == reference);
    by_id.or_else(|| IMAGES.iter().find(|i| i.name == reference && i.arch == arch))
}
