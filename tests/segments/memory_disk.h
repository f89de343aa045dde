// A disk in memory that forgets what was not synced, and a directory that does too.
//
// A file is an inode with bytes that are on stable storage and writes that are not yet. After a
// crash each sector of each such write is there or not, on its own, in any order; a sector may be
// torn in the middle or come back as zeros. Of an inode's names since the last sync of the
// directory, any one may be the one that is left, independently of other inodes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tests/segments/samples.h"

namespace sluice::segments::test {

inline constexpr std::size_t kSectorBytes = 512;

class MemoryDisk {
 public:
  using Bytes = std::vector<std::byte>;
  using Inode = std::size_t;
  using WriteId = std::uint64_t;

  // --- the directory ---------------------------------------------------------------------------
  void create(const std::string& name);
  void rename(const std::string& from, const std::string& to);
  void unlink(const std::string& name);
  void sync_directory();
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] bool exists(const std::string& name) const { return names_.contains(name); }
  /// No crash can take the name away.
  [[nodiscard]] bool name_is_stable(const std::string& name) const {
    return files_[names_.at(name)].names.size() == 1;
  }
  [[nodiscard]] Inode inode(const std::string& name) const { return names_.at(name); }

  // --- data ------------------------------------------------------------------------------------
  /// A write that readers see at once and that a crash may still take apart.
  WriteId write(Inode inode, std::uint64_t offset, std::span<const std::byte> bytes);
  /// A write on its way: readers may see any part of it until land(). Here they see nothing.
  WriteId submit(Inode inode, std::uint64_t offset, std::span<const std::byte> bytes);
  /// It arrived; readers see it. durable: it is on stable storage as well.
  void land(WriteId id, bool durable);
  /// It never arrives.
  void drop(WriteId id);
  /// Everything that readers see of the file is on stable storage.
  void sync(Inode inode);

  /// What readers see.
  [[nodiscard]] Bytes read(const std::string& name) const;
  [[nodiscard]] std::size_t size(const std::string& name) const;
  void flip(const std::string& name, std::uint64_t offset, std::byte mask);

  // --- crashes ---------------------------------------------------------------------------------
  enum class Fate : std::uint8_t { kRandom, kAllKept, kAllLost };
  /// Power fails: what was not synced is decided by `fate`; then everything is stable.
  void lose_power(Random& random, Fate fate);
  /// As lose_power() with all lost, but of write `id` the first `sectors` sectors arrived.
  void lose_power_keeping(WriteId id, std::size_t sectors, bool others_kept);
  /// The process dies: what readers see stays, and writes on their way may land at any time later.
  [[nodiscard]] std::vector<WriteId> submitted() const;
  [[nodiscard]] std::size_t sectors_of(WriteId id) const;

 private:
  struct Write {
    WriteId id = 0;
    std::uint64_t offset = 0;
    Bytes bytes;
    bool visible = false;
  };
  struct File {
    Bytes stable;
    std::vector<Write> pending;      // in order of submission
    std::vector<std::string> names;  // since the last directory sync; "" is none
  };
  struct SectorFate {
    std::size_t sector = 0;
    enum { kKept, kLost, kTorn, kZeroed } what = kKept;
  };

  void free_name(const std::string& name);
  void set_name(Inode inode, const std::string& name);
  static void apply(Bytes& to, const Write& write);
  static void apply_sector(Bytes& to, const Write& write, const SectorFate& fate);
  static void settle_write(Bytes& to, const Write& write, Random& random);
  Write& find(WriteId id, File*& file);

  std::vector<File> files_;
  std::map<std::string, Inode> names_;
  WriteId next_id_ = 1;
};

}  // namespace sluice::segments::test
