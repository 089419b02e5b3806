package geo

import "strings"

// CountryPoint gives a point that stands for a country: its most populous
// place, since that is where a country's visitors most likely are. The code is
// ISO 3166-1 alpha-2 (and XK), in any case. A country is a coarse answer; it is
// good enough to choose between cells that are an ocean apart.
func CountryPoint(code string) (Point, bool) {
	p, ok := countries[strings.ToUpper(code)]
	return p, ok
}

// countries holds each country's most populous place: GeoNames, cities15000
// (https://www.geonames.org, CC BY 4.0), and for the few that have no place of
// that size the tz database's zone.tab (public domain).
var countries = map[string]Point{
	"AD": {42.51, 1.52},     // Andorra la Vella
	"AE": {25.08, 55.31},    // Dubai
	"AF": {34.53, 69.17},    // Kabul
	"AG": {17.12, -61.84},   // St John's
	"AI": {18.22, -63.06},   // The Valley
	"AL": {41.33, 19.82},    // Tirana
	"AM": {40.18, 44.51},    // Yerevan
	"AO": {-8.84, 13.23},    // Luanda
	"AQ": {-77.83, 166.60},  // McMurdo
	"AR": {-34.61, -58.38},  // Buenos Aires
	"AS": {-14.28, -170.70}, // Pago Pago
	"AT": {48.21, 16.37},    // Vienna
	"AU": {-33.87, 151.21},  // Sydney
	"AW": {12.50, -69.97},   // Aruba
	"AX": {60.10, 19.93},    // Mariehamn
	"AZ": {40.38, 49.89},    // Baku
	"BA": {43.85, 18.36},    // Sarajevo
	"BB": {13.11, -59.62},   // Bridgetown
	"BD": {23.71, 90.41},    // Dhaka
	"BE": {50.85, 4.35},     // Brussels
	"BF": {12.37, -1.53},    // Ouagadougou
	"BG": {42.70, 23.32},    // Sofia
	"BH": {26.23, 50.59},    // Manama
	"BI": {-3.38, 29.36},    // Bujumbura
	"BJ": {6.37, 2.42},      // Cotonou
	"BL": {17.88, -62.85},   // St Barthelemy
	"BM": {32.29, -64.78},   // Hamilton
	"BN": {4.89, 114.94},    // Bandar Seri Begawan
	"BO": {-16.50, -68.15},  // La Paz
	"BQ": {12.15, -68.27},   // Kralendijk
	"BR": {-23.55, -46.64},  // São Paulo
	"BS": {25.06, -77.34},   // Nassau
	"BT": {27.47, 89.64},    // Thimphu
	"BV": {-54.42, 3.36},    // Bouvet Island
	"BW": {-24.65, 25.91},   // Gaborone
	"BY": {53.90, 27.57},    // Minsk
	"BZ": {17.50, -88.20},   // Belize City
	"CA": {43.70, -79.42},   // Toronto
	"CC": {-12.17, 96.92},   // Cocos
	"CD": {-4.33, 15.31},    // Kinshasa
	"CF": {4.36, 18.55},     // Bangui
	"CG": {-4.27, 15.28},    // Brazzaville
	"CH": {47.37, 8.55},     // Zurich
	"CI": {5.35, -4.00},     // Abidjan
	"CK": {-21.21, -159.78}, // Avarua
	"CL": {-33.46, -70.65},  // Santiago
	"CM": {4.05, 9.70},      // Douala
	"CN": {31.22, 121.46},   // Shanghai
	"CO": {4.61, -74.08},    // Bogotá
	"CR": {9.93, -84.08},    // San José
	"CU": {23.13, -82.38},   // Havana
	"CV": {14.93, -23.51},   // Praia
	"CW": {12.18, -69.00},   // Curacao
	"CX": {-10.42, 105.72},  // Christmas
	"CY": {35.18, 33.36},    // Nicosia
	"CZ": {50.09, 14.42},    // Prague
	"DE": {52.52, 13.41},    // Berlin
	"DJ": {11.59, 43.15},    // Djibouti
	"DK": {55.68, 12.57},    // Copenhagen
	"DM": {15.30, -61.39},   // Roseau
	"DO": {18.47, -69.89},   // Santo Domingo
	"DZ": {36.73, 3.09},     // Algiers
	"EC": {-2.20, -79.89},   // Guayaquil
	"EE": {59.44, 24.75},    // Tallinn
	"EG": {30.06, 31.25},    // Cairo
	"EH": {27.15, -13.20},   // El Aaiun
	"ER": {15.34, 38.93},    // Asmara
	"ES": {40.42, -3.70},    // Madrid
	"ET": {9.02, 38.75},     // Addis Ababa
	"FI": {60.17, 24.94},    // Helsinki
	"FJ": {-18.14, 178.44},  // Suva
	"FK": {-51.70, -57.85},  // Stanley
	"FM": {6.92, 158.16},    // Palikir
	"FO": {62.01, -6.77},    // Tórshavn
	"FR": {48.85, 2.35},     // Paris
	"GA": {0.39, 9.45},      // Libreville
	"GB": {51.51, -0.13},    // London
	"GD": {12.05, -61.75},   // St. George's
	"GE": {41.69, 44.83},    // Tbilisi
	"GF": {4.93, -52.33},    // Cayenne
	"GG": {49.46, -2.54},    // St Peter Port
	"GH": {5.56, -0.20},     // Accra
	"GI": {36.13, -5.35},    // Gibraltar
	"GL": {64.18, -51.72},   // Nuuk
	"GM": {13.44, -16.68},   // Serrekunda
	"GN": {9.54, -13.69},    // Camayenne
	"GP": {16.27, -61.51},   // Les Abymes
	"GQ": {1.86, 9.77},      // Bata
	"GR": {37.98, 23.73},    // Athens
	"GS": {-54.27, -36.53},  // South Georgia
	"GT": {14.64, -90.51},   // Guatemala City
	"GU": {13.52, 144.84},   // Dededo Village
	"GW": {11.86, -15.60},   // Bissau
	"GY": {6.80, -58.16},    // Georgetown
	"HK": {22.28, 114.17},   // Hong Kong
	"HM": {-53.10, 73.51},   // Heard Island
	"HN": {14.08, -87.21},   // Tegucigalpa
	"HR": {45.81, 15.98},    // Zagreb
	"HT": {18.54, -72.34},   // Port-au-Prince
	"HU": {47.50, 19.04},    // Budapest
	"ID": {-6.21, 106.85},   // Jakarta
	"IE": {53.33, -6.25},    // Dublin
	"IL": {31.77, 35.22},    // Jerusalem
	"IM": {54.15, -4.48},    // Douglas
	"IN": {19.07, 72.88},    // Mumbai
	"IO": {-7.33, 72.42},    // Chagos
	"IQ": {33.34, 44.40},    // Baghdad
	"IR": {35.69, 51.42},    // Tehran
	"IS": {64.14, -21.90},   // Reykjavik
	"IT": {41.89, 12.51},    // Rome
	"JE": {49.19, -2.10},    // Saint Helier
	"JM": {18.00, -76.79},   // Kingston
	"JO": {31.96, 35.95},    // Amman
	"JP": {35.69, 139.69},   // Tokyo
	"KE": {-1.28, 36.82},    // Nairobi
	"KG": {42.87, 74.59},    // Bishkek
	"KH": {11.56, 104.92},   // Phnom Penh
	"KI": {1.33, 172.98},    // Tarawa
	"KM": {-11.70, 43.26},   // Moroni
	"KN": {17.30, -62.72},   // Basseterre
	"KP": {39.03, 125.75},   // Pyongyang
	"KR": {37.57, 126.98},   // Seoul
	"KW": {29.08, 48.08},    // Al Ahmadi
	"KY": {19.29, -81.37},   // George Town
	"KZ": {43.25, 76.92},    // Almaty
	"LA": {17.97, 102.60},   // Vientiane
	"LB": {33.89, 35.50},    // Beirut
	"LC": {14.00, -61.01},   // Castries
	"LI": {47.14, 9.52},     // Vaduz
	"LK": {6.94, 79.85},     // Colombo
	"LR": {6.30, -10.80},    // Monrovia
	"LS": {-29.32, 27.48},   // Maseru
	"LT": {54.69, 25.28},    // Vilnius
	"LU": {49.61, 6.13},     // Luxembourg
	"LV": {56.95, 24.11},    // Riga
	"LY": {32.89, 13.19},    // Tripoli
	"MA": {33.59, -7.61},    // Casablanca
	"MC": {43.73, 7.42},     // Monaco
	"MD": {47.01, 28.86},    // Chișinău
	"ME": {42.44, 19.26},    // Podgorica
	"MF": {18.07, -63.08},   // Marigot
	"MG": {-18.91, 47.54},   // Antananarivo
	"MH": {7.09, 171.38},    // Majuro
	"MK": {42.00, 21.43},    // Skopje
	"ML": {12.65, -8.00},    // Bamako
	"MM": {16.81, 96.16},    // Yangon
	"MN": {47.91, 106.88},   // Ulaanbaatar
	"MO": {22.20, 113.54},   // Macau
	"MP": {15.21, 145.75},   // Saipan
	"MQ": {14.60, -61.07},   // Fort-de-France
	"MR": {20.94, -17.04},   // Nouadhibou
	"MS": {16.79, -62.21},   // Brades
	"MT": {35.90, 14.46},    // Birkirkara
	"MU": {-20.16, 57.50},   // Port Louis
	"MV": {4.18, 73.51},     // Malé
	"MW": {-13.97, 33.79},   // Lilongwe
	"MX": {19.43, -99.13},   // Mexico City
	"MY": {6.12, 102.24},    // Kota Bharu
	"MZ": {-25.97, 32.58},   // Maputo
	"NA": {-22.56, 17.08},   // Windhoek
	"NC": {-22.27, 166.45},  // Noumea
	"NE": {13.51, 2.11},     // Niamey
	"NF": {-29.05, 167.97},  // Norfolk
	"NG": {6.45, 3.39},      // Lagos
	"NI": {12.13, -86.25},   // Managua
	"NL": {52.37, 4.89},     // Amsterdam
	"NO": {59.91, 10.75},    // Oslo
	"NP": {27.70, 85.32},    // Kathmandu
	"NR": {-0.55, 166.93},   // Yaren District
	"NU": {-19.02, -169.92}, // Niue
	"NZ": {-36.85, 174.76},  // Auckland
	"OM": {23.58, 58.41},    // Muscat
	"PA": {8.99, -79.52},    // Panama City
	"PE": {-12.04, -77.03},  // Lima
	"PF": {-17.55, -149.60}, // Faaa
	"PG": {-9.48, 147.15},   // Port Moresby
	"PH": {14.65, 121.05},   // Quezon City
	"PK": {24.86, 67.01},    // Karachi
	"PL": {52.23, 21.01},    // Warsaw
	"PM": {46.78, -56.18},   // Saint-Pierre
	"PN": {-25.07, -130.08}, // Pitcairn
	"PR": {18.47, -66.11},   // San Juan
	"PS": {31.50, 34.47},    // Gaza
	"PT": {38.72, -9.13},    // Lisbon
	"PW": {7.50, 134.62},    // Ngerulmud
	"PY": {-25.29, -57.65},  // Asunción
	"QA": {25.29, 51.53},    // Doha
	"RE": {-20.88, 55.45},   // Saint-Denis
	"RO": {44.43, 26.11},    // Bucharest
	"RS": {44.80, 20.47},    // Belgrade
	"RU": {55.75, 37.62},    // Moscow
	"RW": {-1.95, 30.06},    // Kigali
	"SA": {24.69, 46.72},    // Riyadh
	"SB": {-9.43, 159.95},   // Honiara
	"SC": {-4.62, 55.46},    // Victoria
	"SD": {15.55, 32.53},    // Khartoum
	"SE": {59.33, 18.07},    // Stockholm
	"SG": {1.28, 103.85},    // Singapore
	"SH": {-15.94, -5.72},   // Jamestown
	"SI": {46.05, 14.51},    // Ljubljana
	"SJ": {78.22, 15.65},    // Longyearbyen
	"SK": {48.15, 17.11},    // Bratislava
	"SL": {8.49, -13.24},    // Freetown
	"SM": {43.94, 12.45},    // San Marino
	"SN": {14.69, -17.44},   // Dakar
	"SO": {2.04, 45.34},     // Mogadishu
	"SR": {5.87, -55.17},    // Paramaribo
	"SS": {4.85, 31.58},     // Juba
	"ST": {0.34, 6.73},      // São Tomé
	"SV": {13.69, -89.19},   // San Salvador
	"SX": {18.05, -63.05},   // Lower Princes
	"SY": {36.20, 37.16},    // Aleppo
	"SZ": {-26.50, 31.38},   // Manzini
	"TC": {21.47, -71.13},   // Grand Turk
	"TD": {12.11, 15.04},    // N'Djamena
	"TF": {-49.35, 70.22},   // Port-aux-Français
	"TG": {6.13, 1.22},      // Lomé
	"TH": {13.75, 100.50},   // Bangkok
	"TJ": {38.54, 68.78},    // Dushanbe
	"TK": {-9.37, -171.23},  // Fakaofo
	"TL": {-8.56, 125.57},   // Dili
	"TM": {37.95, 58.38},    // Ashgabat
	"TN": {36.82, 10.17},    // Tunis
	"TO": {-21.14, -175.20}, // Nuku'alofa
	"TR": {41.01, 28.95},    // Istanbul
	"TT": {10.52, -61.42},   // Chaguanas
	"TV": {-8.52, 179.19},   // Funafuti
	"TW": {25.05, 121.53},   // Taipei
	"TZ": {-6.82, 39.27},    // Dar es Salaam
	"UA": {50.45, 30.52},    // Kyiv
	"UG": {0.32, 32.58},     // Kampala
	"UM": {28.22, -177.37},  // Midway
	"US": {40.71, -74.01},   // New York
	"UY": {-34.90, -56.19},  // Montevideo
	"UZ": {41.26, 69.22},    // Tashkent
	"VA": {41.90, 12.45},    // Vatican
	"VC": {13.16, -61.23},   // Kingstown
	"VE": {10.49, -66.88},   // Caracas
	"VG": {18.45, -64.62},   // Tortola
	"VI": {17.73, -64.75},   // St Croix
	"VN": {10.82, 106.63},   // Ho Chi Minh City
	"VU": {-17.74, 168.31},  // Port Vila
	"WF": {-13.28, -176.17}, // Mata-Utu
	"WS": {-13.83, -171.77}, // Apia
	"XK": {42.67, 21.17},    // Pristina
	"YE": {15.35, 44.21},    // Sanaa
	"YT": {-12.78, 45.23},   // Mamoudzou
	"ZA": {-33.93, 18.42},   // Cape Town
	"ZM": {-15.41, 28.29},   // Lusaka
	"ZW": {-17.83, 31.05},   // Harare
}
