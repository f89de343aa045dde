// One segment file: its header, and every chunk in it.
#include <utility>

#include "segments/chunk_check.h"
#include "segments/names.h"
#include "segments/recovery.h"
#include "segments/segment_header.h"
#include "wire/check.h"

namespace sluice::segments {
namespace {

bool continues(const FoundChunk& chunk, const FoundChunk& before) {
  return chunk.seq == before.seq.next() && chunk.previous_checksum == before.checksum;
}

/// Whether `chunk`, the newest found, makes the run longer.
bool extends_run(const SegmentScan& scan, const FoundChunk& chunk) {
  if (!chunk.valid || chunk.offset != scan.end_offset) return false;
  return scan.run_count == 0 || continues(chunk, scan.chunks[scan.run_count - 1]);
}

}  // namespace

SegmentScan scan_segment(const Options& options, std::string name, std::span<const std::byte> bytes,
                         const OnRecord& on_record) {
  SLUICE_CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0);
  const auto epoch = parse_segment_name(name);
  SLUICE_CHECK(epoch.has_value());
  SegmentScan scan{.name = std::move(name),
                   .epoch = *epoch,
                   .file_bytes = bytes.size(),
                   .end_offset = kBlockBytes};
  if (const auto base = read_segment_header(bytes, options, *epoch)) {
    scan.base = *base;
  } else {
    scan.header = base.error();
  }

  const SegmentBytes segment{*epoch, bytes};
  for (std::uint64_t offset = kBlockBytes; offset < bytes.size();) {
    auto chunk = find_chunk(options, segment, offset);
    if (!chunk) {
      // A hole, or the end: what was written behind a hole may have arrived all the same (S32), and
      // its durable mark may say that the hole is no torn write.
      offset += kBlockBytes;
      continue;
    }
    chunk->valid = records_are_right(options, segment, *chunk);
    if (extends_run(scan, *chunk)) {
      ++scan.run_count;
      scan.end_offset = offset + chunk->size_bytes;
    }
    scan.chunks.push_back(*chunk);
    for (std::uint32_t i = 0; chunk->valid && i < chunk->record_count; ++i) {
      on_record(*chunk, record_at(segment, *chunk, i));
    }
    offset += chunk->size_bytes;
  }
  scan.dirty_end = claims_chunk(options, segment, scan.end_offset);
  return scan;
}

}  // namespace sluice::segments
