// A batch: the unit that is sealed, replicated, written and checked. 96 bytes of header
// (wire/format.fbs), then entries, each a u32 length (little-endian) and its bytes, then zeros to a
// multiple of 8.
//
// A client builds a batch and leaves term, index, timestamp and the link empty ("unsealed"). The
// leader seals it in place; from then on its bytes are the same in memory, on the wire and on the
// disk of every replica. The header's checksum is right in both states: group, producer and
// sequence are as precious on the way to the leader as afterwards, and a frame does not cover them.
// The chain of previous_checksum makes two replicas that agree on one batch agree on everything
// before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/format_generated.h"
#include "wire/ids.h"
#include "wire/result.h"

namespace sluice {

inline constexpr std::uint32_t kBatchMagic = 0x42554C53;  // "SLUB"
inline constexpr std::uint8_t kBatchVersion = 1;
inline constexpr std::size_t kBatchHeaderBytes = 96;
static_assert(sizeof(wire::BatchHeader) == kBatchHeaderBytes);

enum class BatchKind : std::uint8_t {
  kData = 1,  // entries of clients
  kNoop = 2,  // one empty entry at the start of a term (Raft §8)
  kTrim = 3,  // one entry of eight bytes: the index at which the log may begin once this commits
};

/// What seals a batch: the leader's term, the next index and the link to the batch before.
struct Seal {
  Term term{};
  Index first_index{};
  std::uint64_t previous_checksum = 0;
  std::uint64_t timestamp_ns = 0;
};

/// A batch that lies in somebody else's memory, which must outlive the view.
///
/// Invariants, established by parse() and assumed by everyone else:
/// 1. magic, version and kind are known; flags are 0; size_bytes == the view's size, multiple of 8
/// 2. entry_count >= 1 and the entries fill payload_bytes exactly; the padding is zero
/// 3. header_checksum and payload_checksum are right
/// 4. first_index + entry_count and first_sequence + entry_count do not overflow
class BatchView {
 public:
  BatchView() = default;

  /// Reads one batch from the front of `bytes` (which may hold more behind it) and checks
  /// everything that an unsealed batch promises (invariants 1 to 4), sizes first.
  /// `bytes` must be aligned to 8. size_bytes_max bounds the batch before anything else is read.
  /// Errors  kTruncated, kBadMagic, kBadVersion, kBadSize, kBadContent, kBadChecksum, kTooLarge.
  [[nodiscard]] static Result<BatchView> parse(std::span<const std::byte> bytes,
                                               std::size_t size_bytes_max);

  /// parse(), and term and first index are not 0 (kBadContent): what a sealed batch promises.
  [[nodiscard]] static Result<BatchView> parse_sealed(std::span<const std::byte> bytes,
                                                      std::size_t size_bytes_max);

  /// A view of bytes that are known to be a valid batch (just built, sealed or parsed). No checks.
  [[nodiscard]] static BatchView trusted(std::span<const std::byte> bytes);

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] const wire::BatchHeader& header() const {
    return *reinterpret_cast<const wire::BatchHeader*>(bytes_.data());
  }

  [[nodiscard]] BatchKind kind() const { return static_cast<BatchKind>(header().kind()); }
  [[nodiscard]] GroupId group() const { return GroupId(header().group()); }
  [[nodiscard]] ClusterId cluster() const { return ClusterId(header().cluster()); }
  [[nodiscard]] Term term() const { return Term(header().term()); }
  [[nodiscard]] Index first_index() const { return Index(header().first_index()); }
  [[nodiscard]] Index last_index() const { return first_index() + (entry_count() - 1); }
  [[nodiscard]] std::uint32_t entry_count() const { return header().entry_count(); }
  [[nodiscard]] std::uint32_t size_bytes() const { return header().size_bytes(); }
  [[nodiscard]] ProducerId producer() const { return ProducerId(header().producer()); }
  [[nodiscard]] Sequence first_sequence() const { return Sequence(header().first_sequence()); }
  [[nodiscard]] std::uint64_t header_checksum() const { return header().header_checksum(); }
  [[nodiscard]] std::uint64_t previous_checksum() const { return header().previous_checksum(); }

  /// Forward iteration over the entries' bytes, in order. Valid by invariant 2.
  class Iterator {
   public:
    using value_type = std::span<const std::byte>;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(const std::byte* at) : at_(at) {}
    [[nodiscard]] value_type operator*() const;
    Iterator& operator++();
    Iterator operator++(int) {
      const Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator&) const = default;

   private:
    const std::byte* at_ = nullptr;
  };
  [[nodiscard]] Iterator begin() const;
  [[nodiscard]] Iterator end() const;

 private:
  explicit BatchView(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

/// Seals a batch in place: fills the leader's fields and the header's checksum. The payload is not
/// touched or hashed again. `bytes` is a valid unsealed batch (BatchView::parse).
void seal_batch(std::span<std::byte> bytes, const Seal& seal);

/// Builds an unsealed batch in memory that the caller owns. No allocation.
///
///   BatchBuilder builder(buffer, options);          // buffer aligned to 8
///   while (builder.append(entry)) { ... }           // false: does not fit
///   BatchView batch = builder.finish();
class BatchBuilder {
 public:
  struct Options {
    ClusterId cluster{};
    GroupId group{};
    BatchKind kind = BatchKind::kData;
    ProducerId producer{};
    Sequence first_sequence{};
  };

  BatchBuilder(std::span<std::byte> buffer, const Options& options);

  /// Adds an entry (possibly empty). False, and nothing changed, when the finished batch would not
  /// fit in the buffer.
  [[nodiscard]] bool append(std::span<const std::byte> entry);

  [[nodiscard]] std::uint32_t entry_count() const { return entry_count_; }
  /// Size of the batch if it were finished now, padding included.
  [[nodiscard]] std::size_t size_bytes() const;

  /// Pads, hashes the payload and fills the header with its checksum. Precondition: entry_count()
  /// >= 1.
  BatchView finish();

  /// Size of a batch with one entry of `entry_bytes`.
  [[nodiscard]] static std::size_t size_for(std::size_t entry_bytes);

 private:
  std::span<std::byte> buffer_;
  Options options_;
  std::size_t payload_bytes_ = 0;
  std::uint32_t entry_count_ = 0;
};

}  // namespace sluice
