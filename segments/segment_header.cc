#include "segments/segment_header.h"

#include <algorithm>
#include <cstring>

#include "wire/check.h"
#include "wire/checksum.h"

namespace sluice::segments {
namespace {

constexpr std::size_t kChecksumOffset = 8;

}  // namespace

void write_segment_header(std::span<std::byte> block, const Options& options, Epoch epoch,
                          const StreamBase& base) {
  SLUICE_CHECK(block.size() == kBlockBytes);
  SegmentHeader header(kSegmentMagic, kSegmentVersion, 0, 0, 0, options.directory.high,
                       options.directory.low, options.cluster.value(), epoch.value(),
                       options.segment_bytes, options.shard.value(), 0, base.seq.value(),
                       base.checksum, base.first_epoch.value());
  header.mutate_checksum(header_checksum(std::as_bytes(std::span(&header, 1)), kChecksumOffset));
  std::ranges::fill(block, std::byte{0});
  std::memcpy(block.data(), &header, sizeof header);
}

Result<StreamBase> read_segment_header(std::span<const std::byte> file, const Options& options,
                                       Epoch epoch) {
  if (file.size() < kBlockBytes) return fail(Errc::kTruncated);
  const auto block = file.first(kBlockBytes);
  const auto& header = *reinterpret_cast<const SegmentHeader*>(block.data());
  if (header.magic() != kSegmentMagic) return fail(Errc::kBadMagic);
  if (header.version() != kSegmentVersion) return fail(Errc::kBadVersion);
  const auto header_bytes = block.first(kSegmentHeaderBytes);
  if (header_checksum(header_bytes, kChecksumOffset) != header.checksum()) {
    return fail(Errc::kBadChecksum);
  }
  const bool rest_is_zero = std::ranges::all_of(block.subspan(kSegmentHeaderBytes),
                                                [](std::byte b) { return b == std::byte{0}; });
  if (!rest_is_zero) return fail(Errc::kBadContent);
  if (DirectoryId{header.directory_high(), header.directory_low()} != options.directory ||
      ClusterId(header.cluster()) != options.cluster || ShardId(header.shard()) != options.shard) {
    return fail(Errc::kWrongIdentity);
  }
  if (Epoch(header.epoch()) != epoch) return fail(Errc::kDamaged);
  if (header.segment_bytes() != file.size()) return fail(Errc::kBadSize);
  return StreamBase{ChunkSeq(header.base_seq()), header.base_checksum(),
                    Epoch(header.base_epoch())};
}

}  // namespace sluice::segments
