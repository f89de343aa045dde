#include "engine/shard/identity.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "engine/shard/blocking.h"
#include "engine/shard/identity_generated.h"
#include "wire/checksum.h"

namespace sluice::shard {
namespace {

constexpr std::uint32_t kMagic = 0x49554C53;  // "SLUI"
constexpr std::uint8_t kLayoutVersion = 1;
constexpr std::size_t kChecksumOffset = 8;
constexpr std::string_view kTemporary = ".tmp";  // how the name of an unfinished copy ends
static_assert(sizeof(Identity) == 112);

std::string errno_text(int error) { return std::strerror(error < 0 ? -error : error); }

/// Reads a whole identity file. Errors kIo when it is missing, those of decode_identity().
Result<DirectoryIdentity> read_copy(io::Io& io, const std::string& path, int& error) {
  const auto handle =
      run_blocking(io, [&](io::Completion& c) { io.open(c, path.c_str(), {.read_only = true}); });
  if (handle < 0) {
    error = -handle;
    return fail(Errc::kIo);
  }
  std::array<std::byte, kIdentityBytes> block{};
  const auto file = static_cast<io::Handle>(handle);
  const auto got = run_blocking(io, [&](io::Completion& c) { io.read(c, file, block, 0); });
  io.close(file);
  if (got < 0) {
    error = -got;
    return fail(Errc::kIo);
  }
  error = 0;
  return decode_identity(std::span(block).first(static_cast<std::size_t>(got)));
}

/// Writes one copy under a temporary name, syncs it and renames it: a crash leaves the old copy or
/// the new one. Always a file and a name of its own. A start that was killed may have left its own
/// temporary file, with the write to it still under way: that would land in the copy after all. And of
/// the changes of one name that were not synced a power failure may keep any: the rename, but not the
/// new file under it. In both cases a copy would hold the identity of the start before, and the next
/// one find two that contradict each other (S34). Returns 0 or -errno.
std::int32_t write_copy(io::Io& io, const std::string& path, const DirectoryIdentity& identity) {
  std::array<char, 24> number{};
  std::snprintf(number.data(), number.size(), ".%016" PRIx64, io.random());
  const std::string temporary = path + number.data() + std::string(kTemporary);
  const auto handle = run_blocking(io, [&](io::Completion& c) {
    io.open(c, temporary.c_str(), {.create = true, .exclusive = true});
  });
  if (handle < 0) return handle;
  const auto file = static_cast<io::Handle>(handle);
  std::array<std::byte, kIdentityBytes> block{};
  encode_identity(identity, block);
  auto result = run_blocking(io, [&](io::Completion& c) { io.write(c, file, block, 0, false); });
  if (result >= 0 && result != static_cast<std::int32_t>(block.size())) result = -EIO;
  if (result >= 0) result = run_blocking(io, [&](io::Completion& c) { io.sync(c, file); });
  io.close(file);
  if (result < 0) return result;
  return run_blocking(io,
                      [&](io::Completion& c) { io.rename(c, temporary.c_str(), path.c_str()); });
}

/// What starts that ended early left of write_copy().
std::int32_t remove_temporaries(io::Io& io, const std::string& data_dir) {
  int error = 0;
  const auto names = io.list_directory(data_dir.c_str(), error);
  if (!names) return -error;
  for (const std::string& name : *names) {
    if (!name.starts_with("identity.") || !name.ends_with(kTemporary)) continue;
    const std::string path = data_dir + "/" + name;
    const auto gone = run_blocking(io, [&](io::Completion& c) { io.unlink(c, path.c_str()); });
    if (gone < 0 && gone != -ENOENT) return gone;
  }
  return 0;
}

std::int32_t sync_directory(io::Io& io, const std::string& path) {
  const auto handle = run_blocking(io, [&](io::Completion& c) {
    io.open(c, path.c_str(), {.read_only = true, .directory = true});
  });
  if (handle < 0) return handle;
  const auto directory = static_cast<io::Handle>(handle);
  const auto result = run_blocking(io, [&](io::Completion& c) { io.sync(c, directory); });
  io.close(directory);
  return result;
}

std::string parent_of(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const auto slash = trimmed.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : trimmed.substr(0, slash);
}

struct Paths {
  std::string lock, first, second;
  explicit Paths(const std::string& dir)
      : lock(dir + "/LOCK"), first(dir + "/identity.a"), second(dir + "/identity.b") {}
};

struct Copies {
  Result<DirectoryIdentity> first, second;
  bool first_missing = false, second_missing = false;
};

Copies read_copies(io::Io& io, const Paths& paths) {
  int error = 0;
  auto first = read_copy(io, paths.first, error);
  const bool first_missing = error == ENOENT;
  error = 0;
  auto second = read_copy(io, paths.second, error);
  return {std::move(first), std::move(second), first_missing, error == ENOENT};
}

std::expected<io::Handle, std::string> lock(io::Io& io, const std::string& data_dir,
                                            const Paths& paths) {
  int error = 0;
  auto handle = io.lock_file(paths.lock.c_str(), error);
  if (handle) return *handle;
  if (handle.error() == Errc::kInUse) {
    return std::unexpected("data directory " + data_dir +
                           " is in use by another process; stop that one or name another "
                           "directory");
  }
  return std::unexpected("cannot lock " + paths.lock + ": " + errno_text(error) +
                         "; name a directory that this user may write");
}

/// The identity that the copies agree on. Empty optional-like error text: nothing is there yet.
std::expected<DirectoryIdentity, std::string> agree(const std::string& data_dir,
                                                    const Copies& copies) {
  if (copies.first && copies.second && !(*copies.first == *copies.second)) {
    return std::unexpected("data directory " + data_dir +
                           " has two identity files that contradict each other; restore one of "
                           "them from where it came");
  }
  if (copies.first) return *copies.first;
  if (copies.second) return *copies.second;
  return std::unexpected("data directory " + data_dir +
                         " has no readable identity (identity.a and identity.b are damaged or "
                         "missing beside segments); restore one of them, or start this node "
                         "with an empty directory under a new node id");
}

/// True if the directory holds nothing that a node ever acknowledged.
bool is_new(io::Io& io, const std::string& data_dir, const Copies& copies) {
  if (!copies.first_missing || !copies.second_missing) return false;
  int error = 0;
  auto names = io.list_directory(data_dir.c_str(), error);
  if (!names) return false;
  for (const auto& name : *names) {
    if (!name.starts_with("shard-")) continue;
    auto files = io.list_directory((data_dir + "/" + name).c_str(), error);
    if (!files) return false;
    if (std::ranges::any_of(*files, [](const auto& f) { return f.ends_with(".segment"); })) {
      return false;
    }
  }
  return true;
}

std::string mismatch(const std::string& data_dir, const DirectoryIdentity& found,
                     const DirectoryIdentity& wanted) {
  if (found.cluster_name != wanted.cluster_name) {
    return "data directory " + data_dir + " belongs to cluster '" + found.cluster_name +
           "', not to '" + wanted.cluster_name + "'; name another directory or cluster id";
  }
  if (found.node != wanted.node) {
    return "data directory " + data_dir + " belongs to node " + std::to_string(found.node.value()) +
           ", not to node " + std::to_string(wanted.node.value()) +
           "; name another directory or node id";
  }
  if (wanted.shards != 0 && found.shards != wanted.shards) {
    return "data directory " + data_dir + " was made with --shards " +
           std::to_string(found.shards) + ", not " + std::to_string(wanted.shards) +
           "; the number of shards is fixed for the life of a directory";
  }
  return {};
}

/// Makes the names of the copies and of the shard directories durable.
std::int32_t sync_names(io::Io& io, const std::string& data_dir) {
  const auto result = sync_directory(io, data_dir);
  return result >= 0 ? sync_directory(io, parent_of(data_dir)) : result;
}

/// Makes the shard directories and then both copies durable. A crash in between leaves a directory
/// that is still new, or a good copy and everything that it speaks of; either way the next start goes
/// on. Were the directories not synced first, a power failure could keep a copy and take one of them,
/// and that start would look for a log that never was (S34).
std::int32_t create(io::Io& io, const std::string& data_dir, const Paths& paths,
                    const DirectoryIdentity& identity) {
  for (std::uint32_t i = 0; i < identity.shards; ++i) {
    int error = 0;
    if (!io.make_directory(shard_directory(data_dir, ShardId(i)).c_str(), error)) return -error;
  }
  auto result = remove_temporaries(io, data_dir);
  if (result >= 0) result = sync_names(io, data_dir);
  if (result >= 0) result = write_copy(io, paths.first, identity);
  if (result >= 0) result = write_copy(io, paths.second, identity);
  return result >= 0 ? sync_directory(io, data_dir) : result;
}

}  // namespace

std::string to_hex(DirectoryId id) {
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016" PRIx64 "%016" PRIx64, id.high, id.low);
  return text.data();
}

void encode_identity(const DirectoryIdentity& identity, std::span<std::byte> out) {
  SLUICE_CHECK(out.size() == kIdentityBytes);
  SLUICE_CHECK(identity.cluster_name.size() <= kClusterNameBytesMax);
  std::ranges::fill(out, std::byte{0});
  std::array<std::uint8_t, kClusterNameBytesMax> name{};
  std::ranges::copy(identity.cluster_name, name.begin());
  Identity header(kMagic, kLayoutVersion, 0, 0, 0, identity.directory.high, identity.directory.low,
                  cluster_id_of(identity.cluster_name).value(), identity.node.value(),
                  identity.shards, flatbuffers::make_span(name));
  const auto raw = std::as_bytes(std::span(&header, 1));
  header.mutate_checksum(header_checksum(raw, kChecksumOffset));
  std::memcpy(out.data(), &header, sizeof(header));
}

Result<DirectoryIdentity> decode_identity(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(Identity)) return fail(Errc::kTruncated);
  Identity header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic() != kMagic) return fail(Errc::kBadMagic);
  if (header.version() != kLayoutVersion) return fail(Errc::kBadVersion);
  if (header.checksum() != header_checksum(bytes.first(sizeof(Identity)), kChecksumOffset)) {
    return fail(Errc::kBadChecksum);
  }
  DirectoryIdentity identity;
  identity.directory = {header.directory_high(), header.directory_low()};
  identity.node = NodeId(header.node_id());
  identity.shards = header.shards();
  for (const auto c : *header.cluster_name()) {
    if (c == 0) break;
    identity.cluster_name.push_back(static_cast<char>(c));
  }
  if (identity.node == kNoNode || identity.shards == 0 ||
      cluster_id_of(identity.cluster_name).value() != header.cluster()) {
    return fail(Errc::kBadContent);
  }
  return identity;
}

std::string shard_directory(const std::string& data_dir, ShardId shard) {
  return data_dir + "/shard-" + std::to_string(shard.value());
}

std::expected<OpenDirectory, std::string> open_directory(io::Io& io, const std::string& data_dir,
                                                         const DirectoryIdentity& wanted,
                                                         std::uint32_t shards_default) {
  int error = 0;
  if (!io.make_directory(data_dir.c_str(), error)) {
    return std::unexpected("cannot make data directory " + data_dir + ": " + errno_text(error) +
                           "; name a place that this user may write");
  }
  const Paths paths(data_dir);
  auto held = lock(io, data_dir, paths);
  if (!held) return std::unexpected(held.error());
  auto give_up = [&](std::string why) {
    io.close(*held);
    return std::unexpected(std::move(why));
  };

  const auto copies = read_copies(io, paths);
  if (is_new(io, data_dir, copies)) {
    DirectoryIdentity identity = wanted;
    identity.directory = {io.random(), io.random()};
    if (identity.shards == 0) identity.shards = shards_default;
    const auto result = create(io, data_dir, paths, identity);
    if (result < 0) {
      return give_up("cannot write the identity of " + data_dir + ": " + errno_text(result));
    }
    return OpenDirectory{identity, *held};
  }

  auto found = agree(data_dir, copies);
  if (!found) return give_up(found.error());
  if (auto why = mismatch(data_dir, *found, wanted); !why.empty()) return give_up(std::move(why));
  if (!copies.first || !copies.second) {
    const auto result = create(io, data_dir, paths, *found);
    if (result < 0) {
      return give_up("cannot repair the identity of " + data_dir + ": " + errno_text(result));
    }
  }
  // A process that was killed while it made the directory left names that are perhaps in memory
  // alone. A power failure would take them, and with them all that is written below them from now
  // on (S33).
  if (const auto result = sync_names(io, data_dir); result < 0) {
    return give_up("cannot sync " + data_dir + ": " + errno_text(result));
  }
  return OpenDirectory{*found, *held};
}

std::expected<OpenDirectory, std::string> open_directory_read_only(io::Io& io,
                                                                   const std::string& data_dir) {
  const Paths paths(data_dir);
  const auto copies = read_copies(io, paths);
  if (copies.first_missing && copies.second_missing) {
    return std::unexpected("no data directory of a node: " + data_dir +
                           " has neither identity.a nor identity.b");
  }
  auto held = lock(io, data_dir, paths);
  if (!held) return std::unexpected(held.error());
  auto found = agree(data_dir, copies);
  if (!found) {
    io.close(*held);
    return std::unexpected(found.error());
  }
  return OpenDirectory{*found, *held};
}

}  // namespace sluice::shard
