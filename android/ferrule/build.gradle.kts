// The AAR: libferrule_runtime.so for each ABI, and the package org.ferrule.

plugins {
    id("com.android.library")
}

android {
    namespace = "org.ferrule"
    compileSdk = 35
    ndkVersion = "27.2.12479018"

    defaultConfig {
        minSdk = 24

        ndk {
            abiFilters += listOf("arm64-v8a", "x86_64")
        }

        externalNativeBuild {
            cmake {
                targets += "ferrule_runtime"
                arguments += listOf(
                    "-DANDROID_STL=c++_static",
                    // 16 KB pages: Android 15 devices load nothing else. The root
                    // CMakeLists.txt also passes max-page-size to the linker.
                    "-DANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES=ON",
                    "-DBUILD_SHARED_LIBS=ON",
                    "-DFERRULE_RUNTIME_ONLY=ON",
                    "-DFERRULE_TOOL=OFF",
                )
            }
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    externalNativeBuild {
        cmake {
            path = file("../../CMakeLists.txt")
            version = "3.31.0+"
        }
    }

    packaging {
        jniLibs {
            // Uncompressed and page-aligned in the APK: mapped, not unpacked.
            useLegacyPackaging = false
        }
    }
}
