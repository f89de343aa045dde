// The vocabulary of the whole project: strong types for the numbers that must not be mixed up.
//
// index, count and size_bytes are three different things, and so are a term and an index: each has
// its own type here, so that two of them in a row cannot be swapped without a word from the
// compiler. The types hold a plain integer and cost nothing.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace sluice {

/// An identifier: can be compared and hashed, but not computed with.
template <class Tag, class Rep>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(Rep value) : value_(value) {}
  [[nodiscard]] constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const Id&) const = default;

 private:
  Rep value_ = 0;
};

/// A position in an ordered sequence: a difference of two positions is a plain count.
template <class Tag>
class Position {
 public:
  constexpr Position() = default;
  constexpr explicit Position(std::uint64_t value) : value_(value) {}
  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  [[nodiscard]] constexpr Position next() const { return Position(value_ + 1); }
  /// Precondition: value() > 0.
  [[nodiscard]] constexpr Position prev() const { return Position(value_ - 1); }
  constexpr auto operator<=>(const Position&) const = default;
  constexpr Position operator+(std::uint64_t count) const { return Position(value_ + count); }
  constexpr Position operator-(std::uint64_t count) const { return Position(value_ - count); }
  constexpr std::uint64_t operator-(Position other) const { return value_ - other.value_; }

 private:
  std::uint64_t value_ = 0;
};

/// One replicated log. Groups of a cluster are numbered 0 to N-1.
using GroupId = Id<struct GroupTag, std::uint32_t>;
/// A member of the cluster, from 1. 0 means "none" (no leader known, no vote given).
using NodeId = Id<struct NodeTag, std::uint32_t>;
/// One core of a node: a thread, a ring, a stream of segments.
using ShardId = Id<struct ShardTag, std::uint32_t>;
/// XXH3-64 of the cluster's name; stands in every batch and chunk.
using ClusterId = Id<struct ClusterTag, std::uint64_t>;
/// Who appends with sequence numbers. 0 means "no producer": retries are not recognised.
using ProducerId = Id<struct ProducerTag, std::uint64_t>;

/// A Raft term (Raft §5.1), from 1. 0 is before the first election.
using Term = Position<struct TermTag>;
/// The place of an entry in its group's log, from 1 (Raft §5.3). 0 is before the first entry.
using Index = Position<struct IndexTag>;
/// A producer's own numbering of its entries within one group.
using Sequence = Position<struct SequenceTag>;
/// The number of a chunk in its shard's stream, from 1, without gaps.
using ChunkSeq = Position<struct ChunkSeqTag>;
/// The number of a use of a segment file, from 1; a recycled file gets a new one.
using Epoch = Position<struct EpochTag>;

inline constexpr NodeId kNoNode{};
inline constexpr ProducerId kNoProducer{};

/// A random number of 128 bits, made with a data directory and kept for its life.
struct DirectoryId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  constexpr auto operator<=>(const DirectoryId&) const = default;
};

}  // namespace sluice

template <class Tag, class Rep>
struct std::hash<sluice::Id<Tag, Rep>> {
  std::size_t operator()(sluice::Id<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};
