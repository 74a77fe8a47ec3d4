//! Every number that has a limit (spec section 12).

/// Bytes of a slot.
pub const SLOT_SIZE: usize = 4096;
/// Smallest recording, bytes.
pub const RECORDING_SIZE_MIN: u64 = 1 << 20;
/// Largest recording, bytes.
pub const RECORDING_SIZE_MAX: u64 = 1 << 40;
/// Slots between two areas that are never written (G3): what a flash page of one area takes with
/// it belongs to no other.
pub const AREA_GAP_SLOTS: u32 = 16;
/// Most slots of a history frame.
pub const FRAME_SLOTS_MAX: u16 = 16;
/// Most bytes of payload in a tail frame: the end of the slot is kept for a salvage mark.
pub const TAIL_PAYLOAD_MAX: usize =
    SLOT_SIZE - crate::frame::HEADER_SIZE - crate::salvage::MARK_SIZE;
/// Most bytes of payload in a history frame.
pub const HISTORY_PAYLOAD_MAX: usize = 16 * SLOT_SIZE - crate::frame::HEADER_SIZE;
/// Most bytes of a body.
pub const BODY_LEN_MAX: u32 = 1 << 20;
/// Most samples in a frame.
pub const SAMPLES_MAX: u64 = 8192;
/// Most readings in a frame.
pub const READINGS_MAX: u64 = 4_194_304;
/// Most groups in a frame.
pub const GROUPS_MAX: u64 = 4096;
/// Most runs of series numbers in the header of a group.
pub const LISTS_MAX: u64 = 64;
/// Most entities in a frame.
pub const ENTITIES_MAX: u64 = 4096;
/// Most attributes of an entity.
pub const ATTRIBUTES_MAX: u64 = 16;
/// Most events in a frame.
pub const EVENTS_MAX: u64 = 4096;
/// Most arguments of an event.
pub const ARGUMENTS_MAX: u64 = 8;
/// Most messages in a frame.
pub const MESSAGES_MAX: u64 = 256;
/// Most bytes of run facts.
pub const FACTS_LEN_MAX: usize = 3072;
/// Most bytes of the text of an event or message.
pub const TEXT_LEN_MAX: u64 = 512;
/// Most bytes of the name of an entity.
pub const NAME_LEN_MAX: u64 = 255;
