// The identity of a data directory, and its layout:
//
//   DIR/LOCK                      flock of the process that uses the directory
//   DIR/identity.a, identity.b    two checksummed copies of the identity (identity.fbs)
//   DIR/shard-0/ shard-1/ ...     one stream of segments per shard (segments/README.md)
//
// The identity is made once, with a random directory id, and is durable before anything else is
// written. One bad copy is repaired from the other; two bad copies stop the node: without the
// identity an old or foreign directory could vote and acknowledge for this node (S39, S56, S57).
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>

#include "engine/io/io.h"
#include "wire/ids.h"
#include "wire/result.h"

namespace sluice::shard {

inline constexpr std::size_t kIdentityBytes = 4096;
inline constexpr std::size_t kClusterNameBytesMax = 64;

struct DirectoryIdentity {
  DirectoryId directory;
  NodeId node;
  std::string cluster_name;
  std::uint32_t shards = 0;
  bool operator==(const DirectoryIdentity&) const = default;
};

/// 32 hexadecimal digits, as people read it.
[[nodiscard]] std::string to_hex(DirectoryId id);

/// `out` is kIdentityBytes long.
void encode_identity(const DirectoryIdentity& identity, std::span<std::byte> out);
/// Errors  kTruncated, kBadMagic, kBadVersion, kBadChecksum, kBadContent.
[[nodiscard]] Result<DirectoryIdentity> decode_identity(std::span<const std::byte> bytes);

[[nodiscard]] std::string shard_directory(const std::string& data_dir, ShardId shard);

/// A locked data directory.
struct OpenDirectory {
  DirectoryIdentity identity;
  io::Handle lock = io::Handle::kNone;
};

/// Locks the directory, reads its identity and compares it with what is wanted, or makes a new one
/// (directory, identity and shard directories, all synced). `wanted.shards` 0 takes what is there
/// (or `shards_default` in a new directory); `wanted.directory` is ignored. Blocks; for start-up.
/// Errors  one line for people: in use, another node's or cluster's, no rights, damaged.
[[nodiscard]] std::expected<OpenDirectory, std::string> open_directory(
    io::Io& io, const std::string& data_dir, const DirectoryIdentity& wanted,
    std::uint32_t shards_default);

/// Locks a stopped node's directory and reads its identity, changing nothing.
[[nodiscard]] std::expected<OpenDirectory, std::string> open_directory_read_only(
    io::Io& io, const std::string& data_dir);

}  // namespace sluice::shard
