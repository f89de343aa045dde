#include "wire/batch.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "wire/check.h"
#include "wire/checksum.h"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "the formats are read in place");

constexpr std::size_t kLengthBytes = sizeof(std::uint32_t);
constexpr std::size_t kHeaderChecksumOffset = 8;
constexpr std::size_t kBatchBytesMax = std::numeric_limits<std::uint32_t>::max() & ~std::size_t{7};

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 7) & ~std::size_t{7}; }

bool is_aligned(const std::byte* at) { return reinterpret_cast<std::uintptr_t>(at) % 8 == 0; }

std::uint32_t load_length(const std::byte* at) {
  std::uint32_t length;
  std::memcpy(&length, at, kLengthBytes);
  return length;
}

const wire::BatchHeader& header_of(std::span<const std::byte> bytes) {
  return *reinterpret_cast<const wire::BatchHeader*>(bytes.data());
}

wire::BatchHeader& header_of(std::span<std::byte> bytes) {
  return *reinterpret_cast<wire::BatchHeader*>(bytes.data());
}

std::span<const std::byte> payload_of(std::span<const std::byte> batch) {
  return batch.subspan(kBatchHeaderBytes, header_of(batch).payload_bytes());
}

std::uint64_t checksum_of_header(std::span<const std::byte> batch) {
  return header_checksum(batch.first(kBatchHeaderBytes), kHeaderChecksumOffset);
}

/// Size of the batch that the header at the front claims, once that size can be true.
Result<std::size_t> claimed_size(std::span<const std::byte> bytes, std::size_t size_bytes_max) {
  if (bytes.size() < kBatchHeaderBytes) return fail(Errc::kTruncated);
  SLUICE_CHECK(is_aligned(bytes.data()));
  const wire::BatchHeader& header = header_of(bytes);
  if (header.magic() != kBatchMagic) return fail(Errc::kBadMagic);
  if (header.version() != kBatchVersion) return fail(Errc::kBadVersion);
  const std::size_t size = header.size_bytes();
  if (size > size_bytes_max) return fail(Errc::kTooLarge);
  if (size != kBatchHeaderBytes + padded(header.payload_bytes())) return fail(Errc::kBadSize);
  if (size > bytes.size()) return fail(Errc::kTruncated);
  return size;
}

constexpr bool overflows(std::uint64_t first, std::uint32_t count) {
  return first > std::numeric_limits<std::uint64_t>::max() - count;
}

bool header_makes_sense(const wire::BatchHeader& header) {
  const auto kind = static_cast<BatchKind>(header.kind());
  if (kind != BatchKind::kData && kind != BatchKind::kNoop && kind != BatchKind::kTrim)
    return false;
  if (header.flags() != 0 || header.entry_count() == 0) return false;
  return !overflows(header.first_index(), header.entry_count()) &&
         !overflows(header.first_sequence(), header.entry_count());
}

/// `count` entries fill `payload` exactly.
bool entries_fill(std::span<const std::byte> payload, std::uint32_t count) {
  for (; count > 0; --count) {
    if (payload.size() < kLengthBytes) return false;
    const std::size_t length = load_length(payload.data());
    if (payload.size() - kLengthBytes < length) return false;
    payload = payload.subspan(kLengthBytes + length);
  }
  return payload.empty();
}

bool padding_is_zero(std::span<const std::byte> batch) {
  const auto padding = batch.subspan(kBatchHeaderBytes + header_of(batch).payload_bytes());
  return std::ranges::all_of(padding, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

Result<BatchView> BatchView::parse(std::span<const std::byte> bytes, std::size_t size_bytes_max) {
  const Result<std::size_t> size = claimed_size(bytes, size_bytes_max);
  if (!size) return fail(size.error());
  const auto batch = bytes.first(*size);
  const wire::BatchHeader& header = header_of(batch);
  if (checksum_of_header(batch) != header.header_checksum()) return fail(Errc::kBadChecksum);
  if (!header_makes_sense(header)) return fail(Errc::kBadContent);
  if (checksum(payload_of(batch)) != header.payload_checksum()) return fail(Errc::kBadChecksum);
  if (!entries_fill(payload_of(batch), header.entry_count())) return fail(Errc::kBadContent);
  if (!padding_is_zero(batch)) return fail(Errc::kBadContent);
  return BatchView(batch);
}

Result<BatchView> BatchView::parse_sealed(std::span<const std::byte> bytes,
                                          std::size_t size_bytes_max) {
  const Result<BatchView> batch = parse(bytes, size_bytes_max);
  if (!batch) return batch;
  // Terms and indexes count from 1: zeros are those of a batch that nobody sealed.
  if (batch->term() == Term(0) || batch->first_index() == Index(0)) {
    return fail(Errc::kBadContent);
  }
  return batch;
}

BatchView BatchView::trusted(std::span<const std::byte> bytes) {
  SLUICE_CHECK(bytes.size() >= kBatchHeaderBytes && is_aligned(bytes.data()));
  SLUICE_CHECK(header_of(bytes).magic() == kBatchMagic);
  SLUICE_CHECK(header_of(bytes).size_bytes() <= bytes.size());
  return BatchView(bytes.first(header_of(bytes).size_bytes()));
}

std::span<const std::byte> BatchView::Iterator::operator*() const {
  return {at_ + kLengthBytes, load_length(at_)};
}

BatchView::Iterator& BatchView::Iterator::operator++() {
  at_ += kLengthBytes + load_length(at_);
  return *this;
}

BatchView::Iterator BatchView::begin() const { return Iterator(payload_of(bytes_).data()); }

BatchView::Iterator BatchView::end() const {
  return Iterator(bytes_.data() + kBatchHeaderBytes + header().payload_bytes());
}

void seal_batch(std::span<std::byte> bytes, const Seal& seal) {
  SLUICE_CHECK(bytes.size() >= kBatchHeaderBytes && is_aligned(bytes.data()));
  wire::BatchHeader& header = header_of(bytes);
  SLUICE_CHECK(header.magic() == kBatchMagic && header.entry_count() > 0);
  SLUICE_CHECK(seal.term.value() > 0 && seal.first_index.value() > 0);
  SLUICE_CHECK(!overflows(seal.first_index.value(), header.entry_count()));
  header.mutate_term(seal.term.value());
  header.mutate_first_index(seal.first_index.value());
  header.mutate_previous_checksum(seal.previous_checksum);
  header.mutate_timestamp_ns(seal.timestamp_ns);
  header.mutate_header_checksum(checksum_of_header(bytes));
}

BatchBuilder::BatchBuilder(std::span<std::byte> buffer, const Options& options)
    : buffer_(buffer.first(std::min(buffer.size(), kBatchBytesMax))), options_(options) {
  SLUICE_CHECK(is_aligned(buffer.data()));
}

bool BatchBuilder::append(std::span<const std::byte> entry) {
  if (entry.size() > buffer_.size()) return false;
  const std::size_t payload_bytes = payload_bytes_ + kLengthBytes + entry.size();
  if (kBatchHeaderBytes + padded(payload_bytes) > buffer_.size()) return false;

  std::byte* at = buffer_.data() + kBatchHeaderBytes + payload_bytes_;
  const auto length = static_cast<std::uint32_t>(entry.size());
  std::memcpy(at, &length, kLengthBytes);
  if (length > 0) std::memcpy(at + kLengthBytes, entry.data(), length);
  payload_bytes_ = payload_bytes;
  ++entry_count_;
  return true;
}

std::size_t BatchBuilder::size_bytes() const { return kBatchHeaderBytes + padded(payload_bytes_); }

BatchView BatchBuilder::finish() {
  SLUICE_CHECK(entry_count_ > 0);
  SLUICE_CHECK(!overflows(options_.first_sequence.value(), entry_count_));
  const std::size_t size = size_bytes();
  const std::size_t payload_end = kBatchHeaderBytes + payload_bytes_;
  std::memset(buffer_.data() + payload_end, 0, size - payload_end);
  std::memset(buffer_.data(), 0, kBatchHeaderBytes);

  wire::BatchHeader& header = header_of(buffer_);
  header.mutate_magic(kBatchMagic);
  header.mutate_version(kBatchVersion);
  header.mutate_kind(static_cast<std::uint8_t>(options_.kind));
  header.mutate_payload_checksum(checksum(buffer_.subspan(kBatchHeaderBytes, payload_bytes_)));
  header.mutate_cluster(options_.cluster.value());
  header.mutate_producer(options_.producer.value());
  header.mutate_first_sequence(options_.first_sequence.value());
  header.mutate_group(options_.group.value());
  header.mutate_entry_count(entry_count_);
  header.mutate_size_bytes(static_cast<std::uint32_t>(size));
  header.mutate_payload_bytes(static_cast<std::uint32_t>(payload_bytes_));
  header.mutate_header_checksum(checksum_of_header(buffer_));
  return BatchView::trusted(buffer_.first(size));
}

std::size_t BatchBuilder::size_for(std::size_t entry_bytes) {
  return kBatchHeaderBytes + padded(kLengthBytes + entry_bytes);
}

}  // namespace sluice
